"""The example notebooks run as they stand on videos that the stack has seen; so do the examples of the guide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack import Stack
from notebooks import NOTEBOOKS, ROOT, pictures, run_notebook, texts
from shapes import shapes_video

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(600)]

SAID = {
    "01-first-questions.ipynb": ("bikes.mp4", "car", "detector/1"),
    "02-search.ipynb": ("bikes.mp4", "shapes.mp4", "not by CLIP"),
    "03-over-time.ipynb": ("mean_per_frame", "looked_at"),
}
GUIDE = ROOT / "docs" / "guide" / "search.md"


@pytest.fixture(scope="module")
def seen(stack: Stack, sample_videos: dict[str, Path], media_dir: Path) -> Iterator[Path]:
    """FRAMEHOUSE_HOME of a stack that has seen a street and two shapes."""
    videos = [str(sample_videos["bikes.mp4"]), str(shapes_video(media_dir / "shapes.mp4"))]
    stack.ok("run", *videos, "--model", "detector", "--model", "clip", "--fps", "5")
    yield stack.home


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_something(seen: Path, notebook: Path) -> None:
    book = run_notebook(notebook, seen)
    shown = "\n".join(texts(book))
    for words in SAID[notebook.name]:
        assert words in shown, shown
    assert pictures(book) >= 1
    assert all(cell.get("outputs") for cell in book.cells if cell.cell_type == "code")


def test_what_the_notebooks_show_was_made_by_them() -> None:
    for notebook in NOTEBOOKS:
        cells = json.loads(notebook.read_text())["cells"]
        assert all(cell["outputs"] for cell in cells if cell["cell_type"] == "code"), f"{notebook.name} was not run"
        assert not re.search(r"(/tmp/|/home/|/work/)", notebook.read_text()), f"{notebook.name} names a machine's path"


def examples() -> list[str]:
    """Every SQL statement of the guide."""
    return re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.mark.parametrize("statement", examples())
def test_the_examples_of_the_search_guide_run(stack: Stack, seen: Path, statement: str) -> None:
    rows = json.loads(stack.ok("sql", statement, "--format", "json"))
    assert rows, statement


def test_search_says_which_way_it_went(stack: Stack, seen: Path) -> None:
    done = stack.run("search", "automobile", "--json")
    answer = json.loads(done.stdout)
    assert answer["moments"][0]["word"] == "car"
    assert "not trained on: automobile" in answer["notes"][0]
    found = json.loads(stack.ok("search", "blue square", "--json"))
    assert found["moments"][0]["uri"].endswith("shapes.mp4") and found["moments"][0]["best_s"] >= 1
