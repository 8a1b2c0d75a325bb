"""Comparing vectors, tags without training, and how an image model finds its text model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from framehouse.config import ROOT
from framehouse.errors import ConfigError, TensorMismatch
from framehouse.inference.adapters import clip as adapter
from framehouse.inference.clip import prompts, text_model_of, unknown_words
from framehouse.inference.repository import load_specs
from framehouse.inference.specs import ModelSpec
from framehouse.results.vectors import compare, zero_shot

NONE = np.zeros((0, 0), np.float32)
EAST, NORTH, NORTH_EAST = [2.0, 0.0], [0.0, 0.5], [3.0, 3.0]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (NONE, np.ones((2, 3)), np.zeros((0, 2))),
        (np.ones((2, 3)), NONE, np.zeros((2, 0))),
        ([EAST], [EAST], [[1]]),
        ([EAST, NORTH], [NORTH_EAST, NORTH], [[0.5**0.5, 0], [0.5**0.5, 1]]),
        ([EAST], [[-1, 0]], [[-1]]),
        ([[0, 0]], [EAST, [0, 0]], [[0, 0]]),  # no direction at all
        ([[1e-30, 0]], [[1e30, 0]], [[1]]),  # beyond float32 when squared
    ],
)
def test_cosines(first: list[list[float]], second: list[list[float]], expected: list[list[float]]) -> None:
    found = compare(np.array(first, np.float32), np.array(second, np.float32))
    assert found.dtype == np.float32
    assert found.shape == np.shape(expected)
    assert found == pytest.approx(np.array(expected), abs=1e-6)


def test_vectors_of_two_models_are_not_compared() -> None:
    with pytest.raises(TensorMismatch, match="64 and of 512"):
        compare(np.ones((1, 64)), np.ones((2, 512)))


def test_probabilities_are_a_softmax_of_scaled_cosines() -> None:
    images, texts = np.array([EAST, NORTH_EAST]), np.array([EAST, NORTH])
    found = zero_shot(images, texts, 2.0)
    e = np.exp(2.0)
    assert found == pytest.approx(np.array([[e / (e + 1), 1 / (e + 1)], [0.5, 0.5]]), abs=1e-6)
    assert zero_shot(images, texts, 1e6)[0] == pytest.approx([1, 0])  # no overflow
    assert zero_shot(NONE, texts, 2.0).shape == (0, 2)
    assert zero_shot(images, NONE, 2.0).shape == (2, 0)


def test_vectors_become_rows_as_they_are() -> None:
    spec = load_specs([ROOT / "triton_models"])["clip/1"]
    vectors = np.array([[3.0, -4.0], [0.0, 1e-8]], np.float32)
    offsets = np.array([7, 12], np.int64)
    rows = adapter.from_outputs({"embedding": vectors}, spec=spec, frame_offset=offsets, source_size=(9, 9))
    assert np.array_equal(rows.embedding, vectors)
    assert rows.frame_offset.tolist() == [7, 12]
    vectors[1, 1] = np.nan
    with pytest.raises(TensorMismatch, match="finite"):
        adapter.from_outputs({"embedding": vectors}, spec=spec, frame_offset=offsets, source_size=(9, 9))


# ---------------------------------------------------------------- the text side


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The two folders of the tiny CLIP, to be changed."""
    for name in ("clip", "clip_text"):
        shutil.copytree(ROOT / "triton_models" / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def edit(root: Path) -> Callable[[str, str, str], None]:
    def edit(model: str, old: str, new: str) -> None:
        path = root / model / "config.pbtxt"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def spec_of(root: Path) -> ModelSpec:
    return load_specs([root])["clip/1"]


def test_the_shipped_text_side(root: Path) -> None:
    model = text_model_of(spec_of(root), [root])
    assert (model.model_id, model.triton_model, model.triton_version) == ("clip/1", "clip_text", "1")
    assert (model.length, model.padding, model.max_batch) == (24, "fixed", 8)
    assert model.tokenizer == root / "clip_text" / "1" / "tokenizer.json"
    assert model.space == spec_of(root).settings["space"]
    assert 1 < model.logit_scale <= 100
    assert prompts(model, ["red star", "10 % of {}"]) == ["a red star", "a 10 % of {}"]
    assert unknown_words(model, ["A red ROVER", "two dogs, red", "a big-box"]) == ("rover", "two", "dogs")
    assert unknown_words(replace(model, words=frozenset()), ["a red rover"]) == ()


def test_it_is_found_in_a_second_repository(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.move(root / "clip_text", other / "clip_text")
    with pytest.raises(ConfigError) as caught:
        text_model_of(spec_of(root), [root])
    assert caught.value.code == "models.config"
    assert text_model_of(spec_of(root), [root, other]).tokenizer.is_relative_to(other)


def test_towers_of_two_spaces_are_refused(root: Path, edit: Callable[[str, str, str], None]) -> None:
    edit("clip_text", spec_of(root).settings["space"], "another")
    with pytest.raises(ConfigError, match="'another'") as caught:
        text_model_of(spec_of(root), [root])
    assert caught.value.code == "models.space"


@pytest.mark.parametrize("broken", ["no template", "bad padding", "bad length", "no tokenizer"])
def test_an_incomplete_text_side_is_named(root: Path, edit: Callable[[str, str, str], None], broken: str) -> None:
    if broken == "no template":
        edit("clip_text", '"template"', '"templates"')
    elif broken == "bad padding":
        edit("clip_text", '"fixed"', '"left"')
    elif broken == "bad length":
        edit("clip_text", 'string_value: "24"', 'string_value: "many"')
    else:
        (root / "clip_text" / "1" / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="clip_text") as caught:
        text_model_of(spec_of(root), [root])
    assert caught.value.code == "models.config"


def test_a_model_without_text_says_so(root: Path, edit: Callable[[str, str, str], None]) -> None:
    edit("clip", '"text_model"', '"no_text_model"')
    with pytest.raises(ConfigError) as caught:
        text_model_of(spec_of(root), [root])
    assert caught.value.code == "models.no_text_model"


def test_digests_change_with_what_shapes_the_numbers(root: Path, edit: Callable[[str, str, str], None]) -> None:
    """Another template or scale leaves stored pictures and texts valid; another tokenizer does not leave the texts."""
    image, text = spec_of(root).digest, text_model_of(spec_of(root), [root]).digest
    edit("clip_text", '"a {}"', '"a photo of a {}"')
    edit("clip_text", '"logit_scale" value: { string_value: "', '"logit_scale" value: { string_value: "1')
    assert (spec_of(root).digest, text_model_of(spec_of(root), [root]).digest) == (image, text)
    tokenizer = root / "clip_text" / "1" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert spec_of(root).digest == image
    assert text_model_of(spec_of(root), [root]).digest != text
