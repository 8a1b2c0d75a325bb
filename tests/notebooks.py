"""Runs the example notebooks. `python tests/notebooks.py`, with FRAMEHOUSE_HOME set, writes their outputs into them."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run_notebook(path: Path, home: Path) -> Any:
    """The notebook with its outputs, made in a kernel of its own with this FRAMEHOUSE_HOME.

    Raises:
        CellExecutionError: a cell failed.
    """
    book = nbformat.read(path, as_version=4)
    env = {
        **os.environ,
        "FRAMEHOUSE_HOME": str(home),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONWARNINGS": "ignore",
    }
    with warnings.catch_warnings(), asyncio.Runner() as runner:
        warnings.simplefilter("ignore")  # of the Jupyter packages themselves
        client = NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}})
        runner.run(client.async_execute(env=env))
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    return book


def texts(book: Any) -> list[str]:
    """The text of every output, in order."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            found.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return found


def pictures(book: Any) -> int:
    """How many outputs are pictures."""
    return sum(
        "image/png" in output.get("data", {}) or "image/jpeg" in output.get("data", {})
        for cell in book.cells
        for output in cell.get("outputs", ())
    )


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        nbformat.write(run_notebook(notebook, Path(os.environ["FRAMEHOUSE_HOME"])), notebook)
        print(notebook.name, notebook.stat().st_size, file=sys.stderr)
