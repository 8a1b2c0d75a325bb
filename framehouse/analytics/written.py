"""Words and patterns in what a model read, as sloppily as it reads: case, accents, lost spaces, 0 for O.

A listed text counts as whole words: `sex` is not in `Essex`. Reading loses and invents spaces, so `BREAKINGNEWS` has
`breaking news`, and a phrase may go on in the next line of the frame (a word may not). Letters that are taken for each
other are one letter on both sides (0 and o, 1 and l and i, 5 and s, 8 and b), except in plain numbers. A pattern is a
regular expression that is searched in each line as it was read, without regard to case.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b"})
_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_SIGNS}]|[^\W_{_SIGNS}]+")
"""A word; each sign of Chinese and Japanese is one, as they are written without spaces."""
MOST_LETTERS = 1000
"""Lines are read up to here: a pattern must not run for long on a page of noise."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What was found in the lines of a frame: `wanted` as it was listed, in `lines` (indices, in order)."""

    wanted: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wordlist:
    """Texts and patterns to look for.

    Args:
        texts: words and phrases; each has a letter or a digit.
        patterns: regular expressions.

    Raises:
        re.error: a pattern that is none.
    """

    texts: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    _by_letters: dict[str, tuple[str, frozenset[int]]] = field(init=False, repr=False, compare=False)
    _starts: frozenset[str] = field(init=False, repr=False, compare=False)
    _regexes: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joined = {"".join(words_of(text)): (text, _breaks(words_of(text))) for text in reversed(self.texts)}
        starts = frozenset(letters[:n] for letters in joined for n in range(1, len(letters)))
        object.__setattr__(self, "_by_letters", joined)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_regexes", tuple(re.compile(one, re.IGNORECASE) for one in self.patterns))

    def find(self, lines: Sequence[str]) -> list[Hit]:
        """Every listed text and pattern that the lines of one frame have, in reading order; each place once.

        >>> Wordlist(("free spins",), (r"\\d+ ?% off",)).find(["FREE", "SP1NS! 50% off", "Essex"])
        [Hit(wanted='free spins', lines=(0, 1)), Hit(wanted='\\\\d+ ?% off', lines=(1,))]
        """
        cut = [line[:MOST_LETTERS] for line in lines]
        found = dict.fromkeys(self._texts_in(cut))
        for i, line in enumerate(cut):
            for pattern, regex in zip(self.patterns, self._regexes, strict=True):
                if regex.search(line):
                    found[Hit(pattern, (i,))] = None
        return sorted(found, key=lambda hit: hit.lines)

    def _texts_in(self, lines: Sequence[str]) -> list[Hit]:
        words = [(word, i) for i, line in enumerate(lines) for word in words_of(line)]
        found = []
        for start in range(len(words) if self._by_letters else 0):
            letters, rows, breaks = "", [words[start][1]], set[int]()
            for word, row in words[start:]:
                if row != rows[-1]:
                    rows.append(row)
                    breaks.add(len(letters))
                letters += word
                text, may_break = self._by_letters.get(letters, ("", frozenset[int]()))
                if text and breaks <= may_break:
                    found.append(Hit(text, tuple(rows)))
                if letters not in self._starts:
                    break
        return found


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
