"""The notebook among the examples, run as a reader would."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples"


def read_notebook():
    return nbformat.read(FOLDER / "getting_started.ipynb", as_version=4)


def test_notebook_is_committed_without_outputs():
    cells = [cell for cell in read_notebook().cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)


@pytest.mark.as_shipped  # runs for longer than it compiles
def test_notebook_runs_to_the_picture_of_before_and_after(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = read_notebook()
    # Cells tagged skip-execution, here that of the installation, are left out.
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    (shown,) = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown)))).astype(int)
    photo = Image.open(ROOT / "docs" / "astronaut.png").resize((512, 512), Image.Resampling.BICUBIC)
    before, after = pixels[100:, :512], pixels[100:, -512:]  # below the labels
    np.testing.assert_array_equal(before, np.asarray(photo)[100:])
    assert 0.5 < np.abs(after - before).mean() < 5  # levels: the same picture, but not the same
