"""The pictures of docs/: what pages show is there, small, made by the script, and shown somewhere."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import Any

import cv2
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("triton_models/*/README.md"))]
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "make_pictures.py"))
MOST_BYTES = 200_000


def made() -> set[str]:
    """Names of the pictures that scripts say they make: `SHOTS` of make_pictures, `MADE` of those beside it."""
    names = {f"{name}.jpg" for name in SCRIPT["SHOTS"]}
    for script in sorted((ROOT / "scripts").glob("make_*.py")):
        for node in ast.parse(script.read_text()).body:
            if isinstance(node, ast.Assign) and [getattr(one, "id", "") for one in node.targets] == ["MADE"]:
                names |= set(ast.literal_eval(node.value))
    return names


def shown() -> list[tuple[Path, str, Path]]:
    """(page, what it says for who cannot see, file) of every picture."""
    return [
        (page, words, (page.parent / target).resolve())
        for page in PAGES
        for words, target in SHOWN.findall(page.read_text())
        if "://" not in target
    ]


def test_what_a_page_shows_is_there_and_has_words() -> None:
    found = shown()
    assert len(found) >= 9
    for page, words, file in found:
        assert file.is_file(), f"{page.relative_to(ROOT)} shows {file}, which is not there"
        assert words, f"{page.relative_to(ROOT)}: {file.name} has no words"


def test_the_pictures_are_those_of_the_script_and_all_are_shown() -> None:
    there = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    assert there == made()
    assert there <= {file.name for _, _, file in shown()}


def test_every_model_that_ships_has_a_picture() -> None:
    slugs = {path.parent.name for path in ROOT.glob("triton_models/*/card.toml")}
    assert slugs <= {shot.model for shot in SCRIPT["SHOTS"].values()}


@pytest.mark.parametrize("name", sorted(made()))
def test_a_picture_is_small_and_whole(name: str) -> None:
    path = ROOT / "docs" / "pictures" / name
    assert path.stat().st_size <= (SCRIPT["MOST_BYTES"] if path.stem in SCRIPT["SHOTS"] else MOST_BYTES)
    picture = cv2.imread(str(path))
    assert picture is not None
    assert min(picture.shape[:2]) >= 200
