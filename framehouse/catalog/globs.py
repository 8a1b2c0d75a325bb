"""Which names a catalogue takes.

A pattern without a slash is held against the file's name, one with a slash against the path below the catalogue's
place. `*` and `?` stop at a slash, `**` does not; `[abc]` and `[!abc]` are one character. Capitals count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def matcher(include: Sequence[str], exclude: Sequence[str]) -> Callable[[str], bool]:
    """A function that says of a path below the place whether it is taken.

    Args:
        include: at least one must match; none takes everything.
        exclude: none may match.

    >>> taken = matcher(["*.mp4"], ["old/**"])
    >>> [taken(path) for path in ("a.mp4", "b/c.mp4", "a.mkv", "old/b/a.mp4")]
    [True, True, False, False]
    """
    wanted, refused = [_compiled(p) for p in include], [_compiled(p) for p in exclude]

    def taken(path: str) -> bool:
        return (not wanted or any(m(path) for m in wanted)) and not any(m(path) for m in refused)

    return taken


@cache
def _compiled(pattern: str) -> Callable[[str], bool]:
    pattern = pattern.removeprefix("./")
    expression = re.compile("".join(_translated(piece) for piece in _PIECE.findall(pattern.removeprefix("/"))))
    if "/" in pattern:
        return lambda path: expression.fullmatch(path) is not None
    return lambda path: expression.fullmatch(path.rpartition("/")[2]) is not None


def _translated(piece: str) -> str:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if piece in known:
        return known[piece]
    if len(piece) > 2 and piece[0] == "[":
        inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^{inside[1:]}/]" if inside[0] == "!" else f"(?!/)[{inside}]"
    return re.escape(piece)
