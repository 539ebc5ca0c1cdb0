import jax
import pytest
from goldens import TINY
from restorers import network


@pytest.fixture(autouse=True)
def strict_promotion():
    """What a user may set for a program that holds a Restorer: no types and no ranks are mixed silently."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="module")
def tiny():
    return network(TINY)
