"""Texts as tokens with the tiny CLIP's tokenizer; the real one's parity is in tests/integration/test_clip_pulled.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framehouse.config import ROOT
from framehouse.errors import ConfigError
from framehouse.inference.tokens import clean, lengths, tokenize

TOKENIZER = ROOT / "triton_models" / "clip_text" / "1" / "tokenizer.json"
START, END, LENGTH = 0, 1, 24


def ids(text: str, length: int = LENGTH) -> list[int]:
    return tokenize(TOKENIZER, [text], length)[0].tolist()


def test_start_end_and_filling() -> None:
    found = tokenize(TOKENIZER, ["a red star", "", "a red star on a navy background"], LENGTH)
    assert (found.dtype, found.shape) == (np.int64, (3, LENGTH))
    assert found[1].tolist() == [START, END] + [0] * 22
    assert found[0, :3].tolist() == found[2, :3].tolist()
    assert lengths(found).tolist() == [5, 2, 9]
    assert [row[n - 1] for row, n in zip(found, lengths(found), strict=True)] == [END] * 3
    assert not any(row[n:].any() for row, n in zip(found, lengths(found), strict=True))
    assert tokenize(TOKENIZER, [], LENGTH).shape == (0, LENGTH)


@pytest.mark.parametrize(("length", "n"), [(2, 0), (3, 1), (6, 4), (7, 5)])
def test_a_longer_text_is_cut_and_keeps_its_end(length: int, n: int) -> None:
    whole = ids("red green blue red green")
    assert ids("red green blue red green", length) == [*whole[: n + 1], END]
    assert lengths(tokenize(TOKENIZER, ["red green blue red green"], length)).tolist() == [length]


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("  A \t RED\nstar ", "a red star"),
        ("a red st&#97;r", "a red star"),
        ("a r&amp;eacute;d star", "a réd star"),
        ("ﬁsh", "fish"),
        ("schÃ¶n", "schön"),
        ("e\u0301", "é"),
        ("ΑΣ", "ας"),  # a sigma at the end of a word
    ],
)
def test_texts_are_cleaned_first(odd: str, plain: str) -> None:
    assert clean(odd) == plain
    assert ids(odd) == ids(plain)


def test_no_text_is_without_tokens_of_its_own() -> None:
    """Bytes stand for what the vocabulary does not know."""
    assert ids("日本") != ids("中国")
    assert lengths(tokenize(TOKENIZER, ["\U0001f600"], LENGTH))[0] > 3


def test_a_file_that_is_missing_or_no_tokenizer_is_named(tmp_path: Path) -> None:
    for content in (None, "{}", "not json"):
        path = tmp_path / "tokenizer.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError) as caught:
            tokenize(path, ["a"], LENGTH)
        assert caught.value.code == "models.tokenizer"


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(TOKENIZER.read_text())
    assert tokenize(path, ["a"], LENGTH)[0, 1] not in (START, END)
    path.write_text("{}")
    with pytest.raises(ConfigError):
        tokenize(path, ["a"], LENGTH)
