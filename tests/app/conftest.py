import pytest


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """Returns the folder in which the server makes temporary folders."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder
