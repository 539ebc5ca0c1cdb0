import pytest


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    """Runs each test in its own folder."""
    monkeypatch.chdir(tmp_path)
