import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import quick_programs


def pytest_configure(config):
    """Sets how this process and those that its tests start compile, before JAX is imported."""
    if config.option.markexpr.startswith("not as_shipped"):
        os.environ["XLA_FLAGS"] = quick_programs.FLAGS
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job of a shell ignores
    # Not the user's folder, and one for each worker, because JAX may read a file that another process still writes.
    compiled = tempfile.mkdtemp()
    config.add_cleanup(lambda: shutil.rmtree(compiled, ignore_errors=True))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


def pytest_collection_modifyitems(items):
    """Puts the files that take longest first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: (item.path.name != "test_reference.py", "training" not in item.path.parts))


def pytest_collection_finish():
    """Leaves what was imported out of each later collection of garbage, a twentieth of the time of the tests."""
    gc.freeze()


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """Returns the folder of a small model that doubles the sides of an image."""
    from small_model import CONFIG, PARAMS  # imports JAX, as `pytest_configure` must not

    from swinir_jax.checkpoints.store import save_model

    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(folder, PARAMS, CONFIG)
    return str(folder)


@pytest.fixture
def no_weights_on_this_machine(tmp_path, monkeypatch) -> None:
    """Puts an empty folder in place of the user's caches of weights."""
    from swinir_jax.checkpoints import download

    for name in (download.WEIGHTS_VARIABLE, download.MIRROR_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def shared() -> Path:
    """The folder of the photographs and figures that may not be shipped."""
    folder = Path(os.environ.get("SWINIR_JAX_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the reference photographs, which may not be shipped: set SWINIR_JAX_SHARED")
    return folder
