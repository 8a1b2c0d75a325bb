"""docs/reference/: what the program says of itself today, complete, and its SQL runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from findings_in_hand import finding
from framehouse.config import Settings
from framehouse.results.finding_files import write_finding
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from lakes import put_every_kind, small_lake

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
EXAMPLES = [
    (page, sql) for page in ("views.md", "macros.md") for sql in re.findall(r"```sql\n(.*?)\n```", PAGES[page], re.S)
]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "reference.py"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reference")
    lake = small_lake(root / "lake")
    put_every_kind(lake, gap=4)
    write_finding(lake, finding(number=1))
    rebuild(root / "store", lake)
    return root / "store"


def test_the_pages_are_those_that_the_program_gives(script: dict[str, Any]) -> None:
    made = script["pages"]()
    assert sorted(made) == sorted(PAGES)
    assert [name for name, text in made.items() if PAGES[name] != text] == [], "run: make reference"


@pytest.mark.parametrize(("page", "sql"), EXAMPLES, ids=[sql[:60] for _, sql in EXAMPLES])
def test_an_example_runs_on_the_sample_database(sample: Path, page: str, sql: str) -> None:
    assert run_query(sample, sql).columns


def test_nothing_lacks_its_meaning() -> None:
    """Every row of every table ends with a meaning, but for codes that need no hint and parameters of a path."""
    for page in ("tables.md", "views.md", "settings.md"):
        empty = [line for line in PAGES[page].splitlines() if re.fullmatch(r"\| .*\|\s+\|", line)]
        assert empty == [], page
    for name in re.findall(r"^## (\w+)\n\n(?:`[^\n]*`\n\n)?(?=##|\Z)", PAGES["macros.md"], re.M):
        pytest.fail(f"the macro {name} has no comment")


def test_every_view_shows_its_question_and_every_macro_that_has_a_file() -> None:
    views = {path.stem for path in (ROOT / "framehouse" / "store" / "views").glob("*.sql")}
    macros = {path.stem for path in (ROOT / "framehouse" / "store" / "macros").glob("*.sql")}
    for page, names in (("views.md", views), ("macros.md", macros)):
        sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGES[page], re.M | re.S))
        assert names <= set(sections)
        assert [name for name in sorted(names) if "?*\n\n```sql\n" not in sections[name]] == []


def test_every_command_shows_an_example_of_itself() -> None:
    sections = dict(re.findall(r"^## ([\w -]+)\n(.*?)(?=^## |\Z)", PAGES["commands.md"], re.M | re.S))
    assert {"export", "run", "sql", "jobs retry"} <= set(sections)
    wrong = [name for name, text in sections.items() if not re.search(rf"```bash\n.*framehouse {name}", text)]
    assert wrong == []


def test_every_setting_is_there() -> None:
    groups = {name: getattr(field.annotation, "model_fields", {}) for name, field in Settings.model_fields.items()}
    names = {f"FRAMEHOUSE_{group}__{field}".upper() for group, fields in groups.items() for field in fields}
    assert len(names) > 50
    assert names <= set(re.findall(r"`(FRAMEHOUSE_\w+)`", PAGES["settings.md"]))


def test_narrow_codes_are_found_where_they_are_raised(script: dict[str, Any]) -> None:
    codes = {code: (kind, hint) for code, kind, _says, hint in script["narrow_codes"]({"ConfigError", "StoreError"})}
    assert codes["config.export"][0] == "ConfigError"
    assert codes["store.disk_full"][0] == "StoreError"
    assert len(codes) > 30


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGES[page]):
        assert (FOLDER / target).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", PAGES[target or page], re.M)
            made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in made, anchor
