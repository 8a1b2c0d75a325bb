"""Tag search: words that mean the same are found, words that only look alike are not; moments are stretches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framehouse.analytics.search import Answer, fuse, search_tags, search_vectors, search_written
from framehouse.analytics.words import WordVectors, load_word_vectors
from framehouse.errors import ConfigError, StoreError
from framehouse.results.lake import Lake
from framehouse.store.rebuild import rebuild
from framehouse.store.search import Moment, Place
from lakes import DETECTOR, put_part, video, video_name


@pytest.fixture(scope="module")
def vectors() -> WordVectors:
    return load_word_vectors()


WORDS = ["car", "dog", "laptop", "sports ball", "bicycle", "person", "carrot", "traffic_light"]


@pytest.mark.parametrize(
    ("query", "word"),
    [("automobile", "car"), ("puppy", "dog"), ("notebook computer", "laptop"), ("cyclist riding a bike", "bicycle"),
     ("people", "person"), ("pedestrian", "person"), ("Traffic Light", "traffic_light"), ("cars", "car")],
)  # fmt: skip
def test_the_word_that_means_it_comes_first(vectors: WordVectors, query: str, word: str) -> None:
    alike = vectors.likeness(query, WORDS)
    assert WORDS[int(alike.argmax())] == word
    assert alike.max() >= 0.45


def test_words_that_only_look_alike_are_no_answer(vectors: WordVectors) -> None:
    assert vectors.likeness("car", ["carrot"])[0] < 0.45
    assert vectors.likeness("   ", WORDS).max() == 0
    assert vectors.likeness("car", []).size == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("search")
    lake = Lake(folder / "lake")
    lake.add_video(video(0))
    put_part(lake, range(0, 40), kind="detections", model_id="detector/1")
    put_part(lake, range(0, 40), kind="embeddings", model_id="clip/1", digest="e" * 32)
    rebuild(folder / "store", lake)
    return Place(folder / "store")


def test_a_word_of_another_name_finds_the_moments_of_its_video(place: Place) -> None:
    answer = search_tags("automobile", place, 50)
    assert answer.way == "tags" and answer.words[0][0] == "car"
    assert answer.moments
    assert {(one.word, one.video_id, one.model_id) for one in answer.moments} == {("car", video_name(0), "detector/1")}
    scores = [one.score for one in answer.moments]
    assert scores == sorted(scores, reverse=True)
    for one in answer.moments:
        assert one.start_s <= one.best_s < one.end_s
    assert len(search_tags("automobile", place, 1).moments) == 1


def test_what_no_frame_has_is_not_found(place: Place) -> None:
    assert search_tags("parliament", place, 5).moments == ()


@pytest.mark.parametrize("query", ["", "  ", "?!"])
def test_an_empty_search_is_named(place: Place, query: str) -> None:
    with pytest.raises(ConfigError) as refused:
        search_tags(query, place, 5)
    assert refused.value.code == "search.empty"


def test_nothing_indexed_is_named(tmp_path: Path) -> None:
    rebuild(tmp_path / "store", Lake(tmp_path / "lake"))
    with pytest.raises(StoreError) as refused:
        search_tags("car", Place(tmp_path / "store"), 5)
    assert refused.value.code == "search.nothing_indexed"
    with pytest.raises(StoreError) as refused:
        search_vectors("car", np.ones(8, np.float32), "x", Place(tmp_path / "store"), 5)
    assert refused.value.code == "search.nothing_indexed"


def test_the_nearest_vector_is_the_best_moment(place: Place) -> None:
    from kind_rows import kind_rows

    rows = kind_rows("embeddings", video_name(0), "e" * 32, range(40))
    vector = np.asarray(rows.arrays()["embedding"][17], np.float32)
    best = search_vectors("x", vector, "e" * 32, place, 3).moments[0]
    assert best.best_frame_offset == 17
    assert best.score == pytest.approx(1.0, abs=1e-5)
    assert DETECTOR != "e" * 32


def moment(number: int, start_s: float, end_s: float, frame: int = 0) -> Moment:
    return Moment(
        video_name(number), None, start_s, end_s, 1, frame, start_s, 0.5, None, None, None, "m/1"
    )  # fmt: skip


def test_what_two_ways_find_comes_before_what_one_finds_better() -> None:
    both, first, second = moment(1, 4, 6), moment(2, 0, 1), moment(3, 0, 1)
    clip = Answer("clip", (first, both), notes=("a note",))
    tags = Answer("tags", (second, moment(1, 0, 60)), (("car", 1.0),))
    fused = fuse([clip, tags], 10)
    assert (fused.way, fused.words, fused.notes) == ("all", (("car", 1.0),), ("a note",))
    assert [(one.video_id, one.ways) for one in fused.moments] == [
        (video_name(1), ("clip", "tags")), *sorted([(video_name(2), ("clip",)), (video_name(3), ("tags",))])
    ]  # fmt: skip
    assert (fused.moments[0].start_s, fused.moments[0].end_s) == (4, 6)
    assert 0 < fused.moments[2].score < fused.moments[0].score < 1
    assert len(fuse([clip, tags], 1).moments) == 1


def test_what_every_way_has_first_scores_one() -> None:
    fused = fuse([Answer("clip", (moment(1, 0, 2),)), Answer("text", (moment(1, 1, 3),))], 5)
    assert [one.score for one in fused.moments] == [pytest.approx(1)]
    assert fuse([Answer("clip", ()), Answer("tags", ())], 5).moments == ()


def test_neighbours_in_time_do_not_overlap_and_both_stay() -> None:
    fused = fuse([Answer("clip", (moment(1, 0, 2),)), Answer("tags", (moment(1, 2, 4),))], 5)
    assert len(fused.moments) == 2


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A video whose written lines were read."""
    folder = tmp_path_factory.mktemp("read")
    lake = Lake(folder / "lake")
    lake.add_video(video(0))
    put_part(lake, range(0, 60), kind="texts", model_id="ocr/1")
    rebuild(folder / "store", lake)
    return Place(folder / "store")


@pytest.mark.parametrize(
    ("phrase", "line"),
    [
        ("exit", "EXIT"),
        ("main STREET", "Main Street 12"),
        ("mainstreet12", "Main Street 12"),
        ("caf\u00e9", "caf\u00e9 \u00fc"),
        ("\u5927\u962a", "\u5927\u962a"),
        ("quoted line", "a 'quoted' \"line\""),
    ],
)
def test_a_written_phrase_is_found_whatever_its_case_and_signs(read: Place, phrase: str, line: str) -> None:
    found = search_written(phrase, read, 5)
    assert found.way == "text" and found.moments
    assert {one.word for one in found.moments} == {line}


def test_what_is_not_written_is_not_found(read: Place) -> None:
    assert search_written("exitt", read, 5).moments == ()
    assert search_written("exit", Place(read.store_dir, ("v_none",)), 5).moments == ()
