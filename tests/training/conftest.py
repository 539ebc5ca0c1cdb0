import gc

import pytest


@pytest.fixture
def collected():
    """Collects the garbage of a test, so that warnings about it belong to this test."""
    yield
    gc.collect()
