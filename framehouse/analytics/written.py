"""Words and patterns in what a model read, as sloppily as it reads: case, accents, lost spaces, 0 for O.

A listed text counts as whole words: `sex` is not in `Essex`. Reading loses and invents spaces, so `BREAKINGNEWS` has
`breaking news`, and a phrase may go on in the next line of the frame (a word may not). Letters that are taken for each
other are one letter on both sides (0 and o, 1 and l and i, 5 and s, 8 and b), except in plain numbers. A pattern is a
regular expression that is searched in each line as it was read, without regard to case. Patterns are RE2's: no
look-around and no back-references, and so none that a long line makes run for ever.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b"})
_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_SIGNS}]|[^\W_{_SIGNS}]+")
"""A word; each sign of Chinese and Japanese is one, as they are written without spaces."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A listed text in the lines of a frame (indices, in order)."""

    wanted: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wordlist:
    """Texts to look for: words and phrases, each with a letter or a digit."""

    texts: tuple[str, ...] = ()
    _by_letters: dict[str, tuple[str, frozenset[int]]] = field(init=False, repr=False, compare=False)
    _starts: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joined = {"".join(words_of(text)): (text, _breaks(words_of(text))) for text in reversed(self.texts)}
        starts = frozenset(letters[:n] for letters in joined for n in range(1, len(letters)))
        object.__setattr__(self, "_by_letters", joined)
        object.__setattr__(self, "_starts", starts)

    def find(self, lines: Sequence[str]) -> list[Hit]:
        """Every listed text that the lines of one frame have, in reading order; once for the lines that it is in.

        >>> Wordlist(("free spins", "bonus")).find(["FREE", "SP1NS! b0nus", "Essex"])
        [Hit(wanted='free spins', lines=(0, 1)), Hit(wanted='bonus', lines=(1,))]
        """
        words = [(word, i) for i, line in enumerate(lines) for word in words_of(line)]
        found: dict[Hit, None] = {}
        for start in range(len(words) if self._by_letters else 0):
            letters, rows, breaks = "", [words[start][1]], set[int]()
            for word, row in words[start:]:
                if row != rows[-1]:
                    rows.append(row)
                    breaks.add(len(letters))
                letters += word
                text, may_break = self._by_letters.get(letters, ("", frozenset[int]()))
                if text and breaks <= may_break:
                    found[Hit(text, tuple(rows))] = None
                if letters not in self._starts:
                    break
        return list(found)


def has_pattern(lines: Sequence[str], pattern: str) -> NDArray[np.bool_]:
    """Which lines [N] have a pattern, bool [N].

    Raises:
        ValueError: the pattern is none that RE2 knows.

    >>> has_pattern(["50 % OFF", "half off"], r"\\d+ ?% off").tolist()
    [True, False]
    """
    found = pc.match_substring_regex(pa.array(list(lines), pa.string()), pattern, ignore_case=True)
    return np.asarray(found.to_numpy(zero_copy_only=False)).astype(np.bool_)


def words_of(text: str) -> list[str]:
    """Words of a text in the form in which they are compared.

    >>> words_of("Café BR0THEL, 100 %")
    ['cafe', 'brothel', '100']
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return [word if word.isdecimal() else word.translate(_ALIKE) for word in _WORD.findall(plain)]


def _breaks(words: Sequence[str]) -> frozenset[int]:
    """After how many letters a line may end: between words.

    >>> sorted(_breaks(["free", "spins", "now"]))
    [4, 9]
    """
    return frozenset(itertools.accumulate(len(word) for word in words[:-1]))
