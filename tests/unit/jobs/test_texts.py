"""Vectors of what people look for: made in this process where no server runs; search says which way it could not go."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from framehouse.config import Settings
from framehouse.errors import ConfigError, StoreError
from framehouse.jobs.search import search_by_text, search_every_way
from framehouse.jobs.texts import SearchTexts
from framehouse.results.lake import Lake
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from framehouse.store.search import Place
from lakes import put_part, video


@pytest.fixture
def place(settings: Settings) -> Place:
    """One video with words and written lines, and vectors of a model that is not ours."""
    lake = Lake(settings.lake_dir)
    lake.add_video(video(0))
    put_part(lake, range(0, 40), kind="detections", model_id="detector/1")
    put_part(lake, range(0, 40), kind="texts", model_id="ocr/1", digest="t" * 32)
    put_part(lake, range(0, 40), kind="embeddings", model_id="clip/9", digest="e" * 32)
    rebuild(settings.store_dir, lake)
    return Place(settings.store_dir)


def cosine(one: list[float], other: list[float]) -> float:
    a, b = np.array(one), np.array(other)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_text_is_embedded_without_a_server(settings: Settings) -> None:
    texts = SearchTexts(settings)
    red, again, blue = texts.vector("red circle"), texts.vector("a red circle"), texts.vector("blue square")
    assert len(red) == 64
    assert red == again, "the template is not put before an article"
    assert cosine(red, texts.vector("a large red circle")) > cosine(red, blue)


@pytest.mark.parametrize(("text", "code"), [("", "search.text"), ("  ", "search.text"), ("x" * 1001, "search.text")])
def test_what_is_no_text_is_named(settings: Settings, text: str, code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SearchTexts(settings).vector(text)
    assert refused.value.code == code


def test_without_server_and_onnxruntime_it_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from framehouse.inference import text_in_process

    text_in_process._session.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError) as refused:
        SearchTexts(settings).vector("a green star that nobody asked for before")
    assert refused.value.code == "search.no_text_vectors"
    assert "framehouse[models]" in refused.value.hint


def test_sql_embeds_texts_and_its_errors_keep_their_code(settings: Settings, place: Place) -> None:
    texts = SearchTexts(settings)
    query = "SELECT len(embed_text('red circle')) AS n, asked_embeddings() = $digest AS ours"
    found = run_query(place.store_dir, query, params={"digest": texts.model_digest}, texts=texts)
    assert found.rows() == [(64, True)]
    each = run_query(place.store_dir, "SELECT len(embed_text(t)) FROM (VALUES ('a'), (NULL)) v(t)", texts=texts)
    assert each.rows() == [(64,), (None,)]
    for model, text, code in (("clip", "", "search.text"), ("nope", "x", "config.unknown_model")):
        with pytest.raises(ConfigError) as refused:
            run_query(place.store_dir, f"SELECT embed_text('{text}')", texts=SearchTexts(settings, model))
        assert refused.value.code == code


def test_a_query_that_embeds_nothing_needs_no_model(settings: Settings, place: Place) -> None:
    assert run_query(place.store_dir, "SELECT 1", texts=SearchTexts(settings, "nope")).rows() == [(1,)]


def test_where_clip_saw_nothing_it_says_so_and_takes_words(settings: Settings, place: Place) -> None:
    answer = search_every_way("red car", "clip", place, 5, settings)
    assert answer.way == "tags" and answer.moments
    (note,) = answer.notes
    assert (note.startswith("not by CLIP: ") and "framehouse run FILE --model clip" in note) or "not trained on" in note


def test_words_that_clip_never_learned_are_not_asked(settings: Settings, place: Place) -> None:
    answer = search_every_way("exit", "clip", place, 5, settings)
    assert answer.way == "all"
    assert answer.moments[0].ways == ("tags", "text")
    assert "not trained on: exit" in answer.notes[0]
    with pytest.raises(StoreError) as refused:
        search_by_text("exit", "clip", place, 5, settings)
    assert refused.value.code == "search.nothing_indexed"


def test_all_ways_together(settings: Settings, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.add_video(video(0))
    put_part(lake, range(0, 40), kind="detections", model_id="detector/1")
    rebuild(tmp_path / "empty", Lake(tmp_path / "none"))
    with pytest.raises(StoreError) as refused:
        search_every_way("exit", "clip", Place(tmp_path / "empty"), 5, settings)
    assert refused.value.code == "search.nothing_indexed"
    with pytest.raises(ConfigError) as empty:
        search_every_way("?!", "clip", Place(tmp_path / "empty"), 5, settings)
    assert empty.value.code == "search.empty"
