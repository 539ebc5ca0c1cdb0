import os
from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    """The folder of the photographs and figures that may not be shipped."""
    folder = Path(os.environ.get("SWINIR_JAX_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the reference photographs, which may not be shipped: set SWINIR_JAX_SHARED")
    return folder
