"""Tags: share of the time, how surely, by whom; misreadings; what was not judged does not count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from framehouse.analytics.tagging import Sightings, Source, Tag, is_one_off, rank_tags, without_misreadings, words_of

ALL = {"object": 1.0, "tag": 1.0, "text": 1.0, "clip": 1.0}


def said(source: Source, words: list[tuple[int, str, float]], n_frames: int = 10, model: str = "m/1") -> Sightings:
    """Frames at 0, 1, 2 … s."""
    return Sightings(
        source, model, np.arange(n_frames, dtype=float), np.arange(n_frames) * 25,
        np.array([at for at, _, _ in words], np.int64), np.array([word for _, word, _ in words], np.object_),
        np.array([sure for _, _, sure in words], float),
    )  # fmt: skip


def ranked(*every: Sightings, start: float = 0.0, end: float = 10.0, least: int = 1, top: int = 9) -> list[Tag]:
    return rank_tags(every, start, end, ALL, least_frames=least, top=top)


def test_nothing() -> None:
    assert rank_tags([], 0, 10, ALL, least_frames=1, top=5) == []
    assert ranked(said("object", [])) == []
    assert ranked(said("object", [], n_frames=0)) == []


def test_share_and_confidence_and_the_best_frame() -> None:
    cars = [(i, "car", 0.5) for i in range(10)]
    tags = ranked(said("object", [*cars, (3, "dog", 0.9)]))
    assert [tag.word for tag in tags] == ["car", "dog"]
    assert tags[0].score == pytest.approx(0.5)
    assert tags[1].score == pytest.approx(0.9 * math.sqrt(0.1))
    (evidence,) = tags[1].evidence
    assert (evidence.n_frames, evidence.n_judged, evidence.best_frame, evidence.best_s) == (1, 10, 75, 3.0)


def test_two_boxes_of_a_frame_are_one() -> None:
    (tag,) = ranked(said("object", [(0, "car", 0.5), (0, "car", 0.7)]))
    assert (tag.evidence[0].n_frames, tag.evidence[0].confidence) == (1, 0.7)


def test_models_that_agree_are_surer_than_each() -> None:
    one, other = said("object", [(i, "car", 0.5) for i in range(10)]), said("tag", [(i, "car", 0.6) for i in range(10)])
    (tag,) = ranked(one, other)
    assert tag.score == pytest.approx(1 - 0.5 * 0.4)
    assert [evidence.source for evidence in tag.evidence] == ["tag", "object"]


def test_a_weight_of_nothing_takes_a_source_out() -> None:
    weights = {**ALL, "object": 0.0}
    assert rank_tags([said("object", [(0, "car", 0.9)])], 0, 10, weights, least_frames=1, top=5) == []


def test_only_between_the_times() -> None:
    here = said("object", [(2, "car", 0.9), (7, "dog", 0.9)])
    assert [tag.word for tag in ranked(here, start=5)] == ["dog"]
    assert ranked(here, start=5)[0].evidence[0].n_judged == 5


def test_once_in_a_long_video_is_a_slip() -> None:
    assert ranked(said("object", [(2, "car", 0.9)]), least=2) == []
    assert len(ranked(said("object", [(2, "car", 0.9)], n_frames=3), least=2)) == 1  # few frames: one has to do


def test_order_of_equals_and_top() -> None:
    tags = ranked(said("object", [(0, "dog", 0.9), (0, "ant", 0.9), (0, "cat", 0.9)]), top=2)
    assert [tag.word for tag in tags] == ["ant", "cat"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("The end", ["end"]),
        ("A4 4711 km", []),
        ("ÉCOLE du-Nord", ["école", "nord"]),
        ("東京タワー", ["東京タワー"]),
    ],
)
def test_words_of_a_line(line: str, expected: list[str]) -> None:
    assert words_of(line) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("hotel", "hotei", True), ("hotel", "hotels", True), ("hotel", "hote", False), ("hotel", "motel", True),
     ("hotel", "hotel", False), ("house", "mouses", False), ("streets", "strets", True), ("abcde", "edcba", False)],
)  # fmt: skip
def test_one_off(a: str, b: str, expected: bool) -> None:
    assert is_one_off(a, b) is is_one_off(b, a) is expected


def test_misreadings() -> None:
    assert without_misreadings([]) == []
    assert without_misreadings(["hotel", "motel"]) == ["hotel", "motel"]  # neither is the rarer
    assert without_misreadings(["hotel"] * 3 + ["hotei"]) == ["hotel"] * 4
