import pytest
from app_server import CONFIG, PARAMS

from swinir_jax.checkpoints.store import save_model


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Returns the folder of the network that the server of these tests offers."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(folder, PARAMS, CONFIG)
    return str(folder)


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """Returns the folder in which the server makes temporary folders."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder
