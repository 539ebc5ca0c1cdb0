import jax
import pytest
from goldens import TINY
from restorers import KilledError, network

from swinir_jax.images.row_writing import RowWriter
from swinir_jax.inference import engine


@pytest.fixture(autouse=True)
def strict_promotion():
    """What a user may set for a program that holds a Restorer: no types and no ranks are mixed silently."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="module")
def tiny():
    return network(TINY)


@pytest.fixture
def killed_after_a_group(monkeypatch):
    """Lets a result that is written by rows end by a KilledError after the first group of rows."""
    write = RowWriter.write

    def write_once(self, rows):
        if self.rows:
            raise KilledError
        write(self, rows)

    monkeypatch.setattr(RowWriter, "write", write_once)


@pytest.fixture
def nothing_in_use(monkeypatch):
    """Leaves out of `memory` what this process holds, which depends on the tests before."""
    monkeypatch.setattr(engine, "resident_bytes", lambda: 0)
