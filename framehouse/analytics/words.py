"""How alike words are, by static word vectors: no model runs, no server is needed.

The vectors and their tokenizer are two files of the PyPI package wordllama (extra `search`), 256 numbers for each of
32,000 pieces of words, made by its author out of the token vectors of Llama 2. The files are read, the package's code
is never run. A text is the mean of its pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

PACKAGE = "wordllama"
_WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
_WORD_START = "\u2581"
_WORTH_A_LOOK = 0.25
_STEM, _ENDING = 4, 3
ALSO: Mapping[str, tuple[str, ...]] = {
    "person": ("human", "people", "man", "woman", "child", "boy", "girl", "pedestrian"),
}
"""Other words for a class that the vectors know nothing of: detectors call every human `person`."""

Pieces = dict[str, tuple[int, ...]]
"""Word -> numbers of its pieces."""


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """Vectors of pieces of words, float32 [V, D], and the tokenizer that finds the pieces."""

    vectors: NDArray[np.float32]
    tokenizer: Tokenizer

    def likeness(self, query: str, words: Sequence[str]) -> NDArray[np.float64]:
        """How alike each word is to a query of any length: cosines, float64 [N], 0 for what has no vector.

        A word of `ALSO` counts with its best name. Pieces that two different words share by their spelling alone, as
        `car` and `carrot` do, do not count.
        """
        names = [(i, name) for i, word in enumerate(words) for name in (word, *ALSO.get(_plain(word), ()))]
        found = np.zeros(len(words), np.float64)
        if not names or not query.strip():
            return found
        asked, *others = (self._pieces(code) for code in self._encode([query, *(name for _, name in names)]))
        cosines = self._means(others) @ self._means([asked])[0]
        for (i, _), pieces, cosine in zip(names, others, cosines.tolist(), strict=True):
            if cosine > max(found[i], _WORTH_A_LOOK):
                found[i] = max(found[i], self._without_lookalikes(asked, pieces, cosine))
        return found

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        return list(self.tokenizer.encode_batch([_plain(text) for text in texts], add_special_tokens=False))

    def _pieces(self, code: Encoding) -> Pieces:
        words: Pieces = {}
        spelled: list[tuple[str, list[int]]] = []
        for token, number in zip(code.tokens, code.ids, strict=True):
            if token.startswith(_WORD_START) or not spelled:
                spelled.append(("", []))
            word, numbers = spelled[-1]
            spelled[-1] = (word + token.lstrip(_WORD_START), [*numbers, number])
        for word, numbers in spelled:
            words[word] = tuple(numbers)
        return words

    def _means(self, texts: Sequence[Pieces]) -> NDArray[np.float64]:
        """Unit vectors [N, D]; zeros for a text without a piece."""
        means = np.zeros((len(texts), self.vectors.shape[1]), np.float64)
        for mean, words in zip(means, texts, strict=True):
            numbers = [number for pieces in words.values() for number in pieces]
            if numbers:
                mean[:] = self.vectors[numbers].mean(axis=0)
        length = np.linalg.norm(means, axis=1, keepdims=True)
        unit: NDArray[np.float64] = np.divide(means, length, out=np.zeros_like(means), where=length > 0)
        return unit

    def _without_lookalikes(self, asked: Pieces, other: Pieces, cosine: float) -> float:
        """The cosine without the pieces that the two share by spelling alone; as given when there is none."""
        left, right = _own_pieces(asked, other), _own_pieces(other, asked)
        if (left, right) == (asked, other):
            return cosine
        pair = self._means([left, right])
        return min(cosine, float(pair[0] @ pair[1]))


def load_word_vectors() -> WordVectors:
    """Read the vectors of the installed package; takes a fifth of a second.

    Raises:
        ConfigError: code `search.no_word_vectors`, the extra is not installed.
    """
    try:
        from safetensors.numpy import load_file  # noqa: PLC0415  an extra
        from tokenizers import Tokenizer  # noqa: PLC0415

        package = distribution(PACKAGE)
        weights, tokenizer = (Path(str(package.locate_file(name))) for name in (_WEIGHTS, _TOKENIZER))
        (vectors,) = load_file(weights).values()
        return WordVectors(vectors.astype(np.float32), Tokenizer.from_file(str(tokenizer)))
    except (ImportError, PackageNotFoundError, FileNotFoundError, ValueError) as error:
        raise ConfigError(
            "tag search needs word vectors, and they are not installed",
            code="search.no_word_vectors",
            hint='install the extra: pip install "framehouse[search]"',
        ) from error


def _plain(text: str) -> str:
    """Lower case, with spaces between words: classes come as `traffic_light` too.

    >>> _plain("Traffic_Light")
    'traffic light'
    """
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())


def _own_pieces(words: Pieces, others: Pieces) -> Pieces:
    """Words without the pieces that only words of another stem share with them."""
    theirs = {number: word for word, numbers in others.items() for number in numbers}
    return {
        word: tuple(n for n in numbers if n not in theirs or any(n in others[o] and same_stem(word, o) for o in others))
        for word, numbers in words.items()
    }


def same_stem(word: str, other: str) -> bool:
    """Whether two words are one but for a short ending.

    >>> same_stem("cyclist", "cycling"), same_stem("car", "cars"), same_stem("car", "carrot")
    (True, True, False)
    """
    common = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    if min(len(word), len(other)) == common and abs(len(word) - len(other)) <= 1:
        return True
    return common >= _STEM and max(len(word), len(other)) - common <= _ENDING
