"""docs/guide/api.md names every route and setting as they are, and its code does what the server expects."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from framehouse.api.app import create_app
from framehouse.api.deliver import signature
from framehouse.config import Settings
from framehouse.errors import FramehouseError

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guide" / "api.md").read_text()


def test_every_route_is_in_the_guide(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path))
    paths = set(app.openapi()["paths"])
    app.state.api.state.close()
    table = GUIDE.split("## Routes")[1]
    named = set(re.findall(r"(/[^\s`,|]*)`", table))
    assert paths == named


@pytest.mark.parametrize("name", sorted(set(re.findall(r"FRAMEHOUSE_[A-Z_]+", GUIDE))))
def test_a_setting_of_the_guide_exists(name: str) -> None:
    group, _, field = name.removeprefix("FRAMEHOUSE_").lower().partition("__")
    annotation = Settings.model_fields[group].annotation
    assert annotation is not None
    assert field in annotation.model_fields


def test_codes_of_the_guide_are_in_the_code() -> None:
    section = GUIDE.split("## Errors")[1].split("## ")[0]
    sources = "".join(path.read_text() for path in (ROOT / "framehouse").rglob("*.py"))
    codes = set(re.findall(r"`((?:api|config|source|store|job)\.[a-z_]+)`", section))
    assert len(codes) > 15
    assert not [code for code in codes if f'"{code}"' not in sources]
    assert FramehouseError.default_code not in codes


def guides_own() -> Callable[..., bool]:
    (block,) = [b for b in re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE) if "is_genuine" in b]
    space: dict[str, object] = {}
    exec(block, space)
    return space["is_genuine"]  # type: ignore[return-value]


def examples_own() -> Callable[..., bool]:
    return runpy.run_path(str(ROOT / "examples" / "webhook_receiver.py"))["is_genuine"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("found", [guides_own, examples_own])
def test_signatures_are_checked_as_they_are_made(found: Callable[[], Callable[..., bool]]) -> None:
    is_genuine, body = found(), b'{"id": "j_1.1.done"}'
    header = signature("whsec_a", 1000, body)
    assert is_genuine("whsec_a", header, body, 1000.5)
    assert not is_genuine("whsec_b", header, body, 1000.5)
    assert not is_genuine("whsec_a", header, body + b" ", 1000.5)
    assert not is_genuine("whsec_a", header, body, 2000.0)
    for wrong in ("", "t=,v1=", "t=1000", "v1=abc", header.replace("t=1000", "t=1001"), header[:-1]):
        assert not is_genuine("whsec_a", wrong, body, 1000.5)
