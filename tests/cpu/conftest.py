import jax
import pytest


@pytest.fixture(autouse=True)
def strict():
    """Turns silent promotion of dtypes and ranks into errors."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
