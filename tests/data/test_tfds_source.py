import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from image_sources import open_source
from picture_files import make_pixels, pillow_bytes

from swinir_jax.data.config import DataConfig, Degradation
from swinir_jax.data.pipeline import TrainingBatches
from swinir_jax.errors import InputError
from swinir_jax.images import Picture, write_picture

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def prepared(tmp_path):
    """Writes a set of images as array_record, without TensorFlow."""

    def prepare(examples):
        class TinySet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            url_infos: ClassVar = {}  # else looked up by a package that the library does not declare
            VERSION = tfds.core.Version("1.0.0")
            BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name="small")]

            def _info(self):
                features = {key: tfds.features.Image() if key != "label" else np.int64 for key in examples[0]}
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, manager):
                return {"train": self._generate_examples(), "test": self._generate_examples()}

            def _generate_examples(self):
                yield from enumerate(examples)

        TinySet(data_dir=tmp_path / "sets", file_format="array_record").download_and_prepare()
        return str(tmp_path / "sets")

    return prepare


def image_file(tmp_path, name, h=20, w=24):
    write_picture(tmp_path / name, Picture(make_pixels(3, h=h, w=w)))
    return str(tmp_path / name)


def test_lr_with_rounded_up_sides_is_lq(tmp_path, prepared):
    files = {"hr": image_file(tmp_path, "h.png", h=25, w=37), "lr": image_file(tmp_path, "l.png", h=7, w=10)}
    data_dir = prepared([files])
    assert open_source("tfds:tiny_set/small:2", scale=4, data_dir=data_dir).sizes(0) == ((25, 37), (7, 10))
    assert open_source("tfds:tiny_set/small", scale=2, data_dir=data_dir).sizes(0) == ((25, 37), None)


def test_a_prepared_set_with_hr_and_lr(tmp_path, prepared):
    files = [{"hr": image_file(tmp_path, f"h{i}.png", h=24, w=36), "lr": image_file(tmp_path, f"l{i}.png", h=6, w=9)}
             for i in range(3)]  # fmt: skip
    data_dir = prepared(files)
    source = open_source("tfds:tiny_set/small", scale=4, data_dir=data_dir)
    assert len(source) == 3
    assert source.name(2) == "tfds:tiny_set/small record 2"
    assert source.sizes(0) == ((24, 36), (6, 9))
    hq, lq = source.read(1)
    np.testing.assert_array_equal(hq, make_pixels(3, h=24, w=36))
    np.testing.assert_array_equal(lq, make_pixels(3, h=6, w=9))
    other_scale = open_source("tfds:tiny_set/small:test[:2]", scale=2, data_dir=data_dir)
    assert other_scale.sizes(0) == ((24, 36), None)
    assert other_scale.read(0)[1] is None
    assert len(other_scale) == 2
    degradation = Degradation(kind="bicubic", low=4, high=4)
    config = DataConfig(degradation=degradation, patch_size=6, hq="tfds:tiny_set/small", data_dir=data_dir)
    batch = next(TrainingBatches(config, scale=4, channels=3, batch_size=2, seed=0))
    assert (batch["lq"].shape, batch["hq"].shape) == ((2, 6, 6, 3), (2, 24, 24, 3))


def test_a_prepared_set_of_gray_and_jpeg_images(tmp_path, prepared):
    gray = tmp_path / "gray.jpg"
    gray.write_bytes(pillow_bytes(make_pixels(0), "JPEG", quality=95))
    data_dir = prepared([{"image": str(gray), "label": 1}])
    [pixels, lq] = open_source("tfds:tiny_set", scale=1, data_dir=data_dir).read(0)
    assert lq is None
    np.testing.assert_allclose(pixels.reshape(*pixels.shape[:2], -1).mean(-1), make_pixels(0), atol=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tfds:div2k/bicubic_x4", r"not prepared in .*tfds build div2k/bicubic_x4 .*where TensorFlow is installed"),
        ("tfds:tiny_set/large", "not prepared"),
        ("tfds:Not a name!", "tfds:Not a name!: "),
        ("tfds:tiny_set/small:validation", "tfds:tiny_set/small:validation: .*validation"),
        ("tfds:tiny_set/small:train[:0]", "empty"),
        ("tfds:", "--data.hq must be"),
    ],
)
def test_unusable_sets_are_refused(tmp_path, prepared, text, message):
    data_dir = prepared([{"hr": image_file(tmp_path, "a.png")}])
    with pytest.raises(InputError, match=message) as caught:
        open_source(text, scale=1, data_dir=data_dir)
    assert "\n" not in str(caught.value)


def test_a_set_without_images(prepared):
    data_dir = prepared([{"label": 3}])
    with pytest.raises(InputError, match="neither hr nor image is among the features label"):
        open_source("tfds:tiny_set/small", scale=1, data_dir=data_dir)


def test_a_set_in_a_format_without_random_access(tmp_path, prepared):
    data_dir = prepared([{"hr": image_file(tmp_path, "a.png")}])
    [info] = Path(data_dir).rglob("dataset_info.json")
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(InputError, match=r"tfds:tiny_set/small: .*TFRECORD is not supported") as caught:
        open_source("tfds:tiny_set/small", scale=1, data_dir=data_dir)
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match="pip install tensorflow-datasets"):
        open_source("tfds:div2k", scale=1)
