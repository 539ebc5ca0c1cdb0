import jax
import pytest


@pytest.fixture(autouse=True)
def strict():
    """No dtype and no rank is promoted silently."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
