from __future__ import annotations

import pytest

from framehouse.catalog.globs import matcher


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.mp4", "a.mp4", True),
        ("*.mp4", "b/c/a.mp4", True),
        ("*.mp4", "a.MP4", False),
        ("*.mp4", "a.mp4.part", False),
        ("cam1/*", "cam1/a.mp4", True),
        ("cam1/*", "cam1/b/a.mp4", False),
        ("cam1/**", "cam1/b/a.mp4", True),
        ("/cam1/**", "cam1/a.mp4", True),
        ("./cam1/**", "cam1/a.mp4", True),
        ("cam1/**", "cam10/a.mp4", False),
        ("**/raw/*", "raw/a.mp4", True),
        ("**/raw/*", "x/y/raw/a.mp4", True),
        ("**/raw/*", "x/draw/a.mp4", False),
        ("cam?/a.mp4", "cam1/a.mp4", True),
        ("cam?/a.mp4", "cam/a.mp4", False),
        ("a?b.mp4", "a/b.mp4", False),
        ("[ab]*.mp4", "b1.mp4", True),
        ("[!ab]*.mp4", "b1.mp4", False),
        ("[!ab]*.mp4", "c.mp4", True),
        ("a[.mp4", "a[.mp4", True),
        ("a(b)+.mp4", "a(b)+.mp4", True),
        ("Straße *.mp4", "x/Straße 1.mp4", True),
        ("", "a.mp4", False),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert matcher([pattern], [])(path) is expected
    assert matcher([], [pattern])(path) is not expected


def test_no_pattern_takes_everything_and_excludes_win() -> None:
    assert matcher([], [])("a.mp4")
    taken = matcher(["*.mp4", "*.mkv"], ["old/**", "*test*"])
    assert [taken(p) for p in ("a.mp4", "x/a.mkv", "a.avi", "old/a.mp4", "a test.mp4")] == [
        True,
        True,
        False,
        False,
        False,
    ]
