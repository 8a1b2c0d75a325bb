"""Texts as numbers, in the way of CLIP: cleaned, cut into known pieces, a start and an end token around them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import ftfy
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from framehouse.errors import ConfigError

VERSION: int = 1
"""Part of the digest of a text model: raise it whenever the same text would give other tokens."""
PADDING_ID = 0
"""What OpenAI's tokenizer fills up with; a text is read at its end token, so the value does not matter."""


def tokenize(path: Path, texts: Sequence[str], length: int) -> NDArray[np.int64]:
    """Token ids of some texts.

    Args:
        path: a `tokenizer.json` whose post-processor adds the start and the end token.
        texts: N texts, any language; an empty one is a start and an end.
        length: tokens of a text, with start and end; at least 2.

    Returns:
        int64 [N, length]; a longer text is cut, and its last token is the end token (as OpenAI's `truncate=True`).

    Raises:
        ConfigError: code `models.tokenizer`, no such file, or not a tokenizer.
    """
    stat = path.stat() if path.is_file() else None
    if stat is None:
        raise ConfigError(f"no tokenizer {path}", code="models.tokenizer")
    tokenizer = _load(path, stat.st_mtime_ns, stat.st_size)
    ids = np.full((len(texts), length), PADDING_ID, np.int64)
    for row, encoding in zip(ids, tokenizer.encode_batch([clean(text) for text in texts]), strict=True):
        found = encoding.ids
        row[: len(found)] = found[:length] if len(found) <= length else [*found[: length - 1], found[-1]]
    return ids


def lengths(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many tokens of each row are the text's own, up to the end token (whose id is not 0): int64 [N]."""
    n_filling = np.argmax(tokens[:, ::-1] != PADDING_ID, axis=1)
    return np.asarray(tokens.shape[1] - n_filling, np.int64)


def clean(text: str) -> str:
    """What OpenAI does before it looks for tokens: mend, unescape HTML, single spaces, lower case.

    >>> clean("  ﬁsh &amp;amp; CHIPS ")
    'fish & chips'
    """
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


@lru_cache(maxsize=4)
def _load(path: Path, modified_ns: int, size_bytes: int) -> Tokenizer:
    """The tokenizer of a file as it is now."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise ConfigError(f"{path} is not a tokenizer: {error}", code="models.tokenizer") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
