import contextlib

import pytest
from goldens import generated_weights

from swinir_jax import SwinIRConfig
from swinir_jax.checkpoints.names import official_shapes, params_from_official
from swinir_jax.checkpoints.store import save_model
from swinir_jax.images.row_writing import RowWriter

CONFIG = SwinIRConfig(upscale=2, upsampler="pixelshuffledirect", embed_dim=4, depths=(2,), num_heads=(1,))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Returns the folder of a small model that doubles the sides of an image."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(folder, params_from_official(generated_weights(official_shapes(CONFIG), 1), CONFIG), CONFIG)
    return str(folder)


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    """Runs each test in its own folder, without compiled programs of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")


@pytest.fixture
def interruption(monkeypatch):
    """Returns a context in which Ctrl-C follows 512 rows of a result that is written by rows."""

    @contextlib.contextmanager
    def interrupted():
        write = RowWriter.write

        def interrupt(writer, rows):
            if writer.rows == 512:
                raise KeyboardInterrupt
            write(writer, rows)

        with monkeypatch.context() as patch:
            patch.setattr(RowWriter, "write", interrupt)
            yield

    return interrupted
