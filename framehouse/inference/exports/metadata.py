"""What an ONNX file says about itself. Nobody vouches for it: sizes are limited, types checked, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from framehouse.video.framing import Size

LONGEST_VALUE = 1 << 20
"""Characters of a value that are looked at; 21,841 class names are half of it."""
MOST_CLASSES = 100_000
_LONGEST_NAME = 100
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Metadata:
    """What could be understood; everything else is empty."""

    task: str = ""
    """ultralytics: detect, segment, pose, classify, obb …"""
    head: str = ""
    """ultralytics: class of the last layer."""
    names: tuple[str, ...] = ()
    """Class names by class id."""
    has_stride: bool = False
    size: Size | None = None
    """(width, height); the file has [height, width]."""
    point_shape: tuple[int, int] | None = None
    """Points of a skeleton, and values of each: 2 or 3."""
    point_names: tuple[str, ...] = ()
    licence: str = ""
    author: str = ""


def read_metadata(entries: Iterable[tuple[str, str]]) -> Metadata:
    """Metadata out of (key, value) pairs as ultralytics writes them; what does not fit is as if it were not there."""
    found = {key: value for key, value in entries if len(value) <= LONGEST_VALUE}
    shape = _pair(_literal(found, "kpt_shape"))
    points = _literal(found, "kpt_names")
    size = _pair(_literal(found, "imgsz"))
    return Metadata(
        task=one_line(found.get("task", "")),
        head=one_line(found.get("head", "")),
        names=_names(_literal(found, "names")),
        has_stride="stride" in found,
        size=(size[1], size[0]) if size else None,
        point_shape=shape if shape and shape[1] in (2, 3) else None,
        point_names=_names(points[0] if isinstance(points, dict) and isinstance(points.get(0), list) else points),
        licence=one_line(found.get("license", "")),
        author=one_line(found.get("author", "")),
    )


def one_line(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Printable text on one line, cut off.

    >>> one_line("a\\n\\tb\\x1b[31m ")
    'a b[31m'
    """
    printable = "".join(letter if letter.isprintable() else " " if letter.isspace() else "" for letter in text)
    return " ".join(printable.split())[:longest].strip()


def class_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names fit for a file with one on each line: on one line, none empty, none twice.

    >>> class_names(["car", "", "car"])
    ('car', 'class 1', 'car (2)')
    """
    made: list[str] = []
    seen: set[str] = set()
    for number, name in enumerate(names):
        clean = one_line(name, _LONGEST_NAME) or f"class {number}"
        made.append(clean if clean not in seen else f"{clean} ({number})")
        seen.add(made[-1])
    return tuple(made)


def _literal(found: Mapping[str, str], key: str) -> Any:
    """A value that was written as a Python literal; None when it is none."""
    try:
        return ast.literal_eval(found[key]) if key in found else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _names(value: Any) -> tuple[str, ...]:
    """Names out of a list or a dict with the keys 0, 1, …; anything else has none."""
    if isinstance(value, dict):
        value = [value.get(number) for number in range(len(value))]
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_CLASSES:
        return ()
    return class_names(value) if all(isinstance(name, str) for name in value) else ()


def _pair(value: Any) -> tuple[int, int] | None:
    """Two positive integers; one stands for both."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value, value]
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    first, second = value
    whole = all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 1 << 20 for side in value)
    return (first, second) if whole else None
