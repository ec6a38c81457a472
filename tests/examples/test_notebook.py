"""The notebook runs from top to bottom, and shows the data card."""

import json

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_frame_becomes_a_balanced_frame_and_its_card(tmp_path):
    notebook = nbformat.read(ROOT / "examples/pandas_to_card.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "read 2,000 = matched 2,000" in shown
    assert "<iframe srcdoc=" in shown and "data card" in shown
