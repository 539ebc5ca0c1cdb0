"""Prepared sets of tensorflow-datasets, read without TensorFlow."""

import numpy as np

from swinir_jax.data.pairs import sizes_fit
from swinir_jax.data.records import decode, naming, read_header
from swinir_jax.errors import InputError


class TfdsSource:
    """Images of a prepared set: HQ is the feature `hr` or `image`, LQ is the feature `lr` if it fits the scale.

    Args:
      text: `NAME[/CONFIG][:SPLIT]`; the split may be a part such as `train[:50%]`, and is `train` if left out.
      scale: HQ / LQ side ratio.
      data_dir: folder of the sets; empty for the default of tensorflow-datasets.

    Raises:
      InputError: if tensorflow-datasets is not installed, the set is not prepared in a format with random access, or
        the split is missing or has no images.
    """

    def __init__(self, text: str, *, scale: int, data_dir: str = ""):
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise InputError(f"tfds:{text} needs tensorflow-datasets: pip install tensorflow-datasets.") from error
        name, _, split = text.partition(":")
        self._text = f"tfds:{text}"
        with naming(self._text):
            try:
                # tfds.builder would import the set's own code, which may import TensorFlow.
                builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir or None)
            except tfds.core.DatasetNotFoundError as error:
                raise InputError(
                    f"not prepared in {data_dir or 'the default folder'}; run `tfds build {name} "
                    "--file_format=array_record` where TensorFlow is installed and copy the result here, or name the "
                    "images by folder:PATH."
                ) from error
            features = builder.info.features
            hq = [key for key in ("hr", "image") if key in features]
            if not hq:
                raise InputError(f"neither hr nor image is among the features {', '.join(features)}.")
            self._hq, self._lq = hq[0], "lr" if "lr" in features else None
            encoded = {key: tfds.decode.SkipDecoding() for key in (self._hq, self._lq) if key}
            if not builder.info.splits[split or "train"].num_examples:
                raise InputError("this split is empty.")
            self._examples = builder.as_data_source(split or "train", decoders=encoded)
        hq_size, lq_size = self.sizes(0)
        if lq_size and not sizes_fit(hq_size, lq_size, scale):
            self._lq = None  # the LQ images have another scale, and LQ is made from HQ

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._examples)

    def name(self, index: int) -> str:
        """Returns the set and the number of the record."""
        return f"{self._text} record {index}"

    def sizes(self, index: int) -> tuple[tuple[int, int], tuple[int, int] | None]:
        """Returns (height, width) of HQ and LQ."""
        with naming(self.name(index)):
            example = self._examples[index]
            return read_header(example[self._hq]), read_header(example[self._lq]) if self._lq else None

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns HQ and LQ, uint8."""
        with naming(self.name(index)):
            example = self._examples[index]
            return decode(example[self._hq]), decode(example[self._lq]) if self._lq else None
