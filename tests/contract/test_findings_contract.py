"""Findings: a file in the lake is what was found, and the tables depend on the files and on nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from findings_in_hand import RULES, finding
from framehouse.errors import ContractViolation, ResultsError
from framehouse.results.finding_files import (
    delete_finding,
    finding_keys,
    finding_path,
    heads_of,
    read_finding,
    read_head,
    write_finding,
)
from framehouse.results.findings import Event, Events, Finding, Ruleset, Scenes, Tracks, event_ids, input_digest
from framehouse.results.lake import Lake
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from lakes import small_lake, video_name

OTHER = Ruleset("presence", "", {"classes": ["person"]})


def rows(store: Path, sql: str) -> list[tuple[Any, ...]]:
    return run_query(store, sql).rows()


def load(publisher: Publisher, *keys: tuple[str, str], kind: str = "finding") -> None:
    first = publisher.published_seq + 1
    publisher.publish([LoadEntry(first + i, kind, video_id, rules or None) for i, (rules, video_id) in enumerate(keys)])  # type: ignore[arg-type]


def filled(lake: Lake) -> list[tuple[str, str]]:
    """Two rulesets in two videos."""
    for made in (finding(), finding(number=1), finding(OTHER), finding(OTHER, 1, n=0)):
        write_finding(lake, made)
    return finding_keys(lake)


# ---------------------------------------------------------------- the files


def test_a_finding_comes_back_as_it_was(tmp_path: Path) -> None:
    lake, made = Lake(tmp_path), finding()
    head = write_finding(lake, made)
    found = read_finding(lake, RULES.ruleset_id, video_name(0))
    assert found is not None
    assert found[0] == head == read_head(lake, RULES.ruleset_id, video_name(0))
    for name in ("ruleset", "video_id", "input_digest", "model_digests", "judged_s", "unjudged_s"):
        assert getattr(found[1], name) == getattr(made, name)
    for group in ("events", "scenes", "tracks"):
        one, other = getattr(found[1], group), getattr(made, group)
        assert len(one) == len(other) > 0
        for name, values in other.arrays().items():
            assert_array_equal(getattr(one, name), values)


def test_an_empty_finding_is_a_finding(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_finding(lake, Finding.of(RULES, video_name(0), input_digest="d"))
    found = read_finding(lake, RULES.ruleset_id, video_name(0))
    assert found is not None
    assert (len(found[1].events), len(found[1].scenes), len(found[1].tracks)) == (0, 0, 0)


def test_the_newest_replaces_and_remembers_the_first_time(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first = write_finding(lake, finding())
    second = write_finding(lake, finding(replace(RULES, name="gate"), n=5))
    assert finding_keys(lake) == [(RULES.ruleset_id, video_name(0))]
    assert (second.first_at, second.ruleset.name) == (first.made_at, "gate")
    assert second.made_at > first.made_at
    assert [head.ruleset.name for head in heads_of(lake, video_name(0))] == ["gate"]
    assert write_finding(lake, finding(replace(RULES, name=""))).ruleset.name == "gate"


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign", "elsewhere"])
def test_a_damaged_finding_is_named_and_replaced_by_the_next(tmp_path: Path, damage: str) -> None:
    lake = Lake(tmp_path)
    write_finding(lake, finding())
    path = finding_path(lake, RULES.ruleset_id, video_name(0))
    write_finding(lake, finding(number=1))
    other = finding_path(lake, RULES.ruleset_id, video_name(1)).read_bytes()
    path.write_bytes({"empty": b"", "cut": path.read_bytes()[:-9], "foreign": b"PAR1 no", "elsewhere": other}[damage])
    for read in (read_finding, read_head):
        with pytest.raises(ResultsError) as caught:
            read(lake, RULES.ruleset_id, video_name(0))
        assert caught.value.code == "results.unreadable"
    assert heads_of(lake, video_name(0)) == []
    write_finding(lake, finding())
    assert read_finding(lake, RULES.ruleset_id, video_name(0)) is not None


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert (read_finding(lake, "r_0", "v_0"), read_head(lake, "r_0", "v_0"), finding_keys(lake)) == (None, None, [])
    delete_finding(lake, "r_0", "v_0")


# ---------------------------------------------------------------- identities


def test_a_ruleset_is_its_kind_parameters_and_version() -> None:
    same = Ruleset("lines", "another name", {"é": None, "line": [0.0, 0.5, 1.0, 0.5]})
    assert same.ruleset_id == RULES.ruleset_id
    others = [replace(RULES, kind="zones"), replace(RULES, version=2), replace(RULES, params={**RULES.params, "x": 1})]
    assert len({RULES.ruleset_id, *(rules.ruleset_id for rules in others)}) == 4


def test_equal_events_have_ids_of_their_own() -> None:
    ids = event_ids(finding(n=6))
    assert len(set(ids)) == 7
    assert ids == event_ids(finding(n=6))
    assert not set(ids) & set(event_ids(finding(n=6, number=1)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((np.arange(4),), (np.arange(4.0),)),
        ((np.arange(4),), (np.arange(4).reshape(2, 2),)),
        ((np.array(["ab", "c"], object),), (np.array(["a", "bc"], object),)),
        (("a", "b"), ("ab",)),
        ((0.4,), (0.5,)),
    ],
)
def test_another_input_has_another_digest(one: Sequence[Any], other: Sequence[Any]) -> None:
    assert input_digest(*one) == input_digest(*one) != input_digest(*other)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Events.of({**_event_columns(), "start_s": [2.0, 1.0]}),
        lambda: Events.of({**_event_columns(), "end_s": [0.5, 3.0]}),
        lambda: Events.of({**_event_columns(), "start_s": [1.0, np.nan]}),
        lambda: Events.of({**_event_columns(), "kind": ["a"]}),
        lambda: Scenes.of({name: [1, 0] for name in Scenes.stored if name != "facts"} | {"facts": ["{}", "{}"]}),
        lambda: Tracks.of({**finding(n=2).tracks.arrays(), "frame_offset": [2, 1]}),
    ],
)  # fmt: skip
def test_what_breaks_the_contract_is_refused(wrong: Any) -> None:
    with pytest.raises(ContractViolation):
        wrong()


def _event_columns() -> dict[str, Any]:
    events = Events.ordered([Event("b", 1.0), Event("a", 1.0)])
    assert events.kind.tolist() == ["a", "b"]
    return dict(events.arrays())


# ---------------------------------------------------------------- the tables


def test_findings_end_in_the_tables(tmp_path: Path) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    keys = filled(lake)
    with Publisher(store, lake) as publisher:
        load(publisher, *keys)
    assert rows(store, "SELECT kind, name, version, params->>'line' FROM rulesets ORDER BY kind") == [
        ("lines", "door", 1, "[0.0,0.5,1.0,0.5]"),
        ("presence", "", 1, None),
    ]
    lines = f"ruleset_id = '{RULES.ruleset_id}' AND video_id = '{video_name(0)}'"
    assert rows(store, f"SELECT n_events, n_scenes, n_tracks, judged_s, unjudged_s FROM findings WHERE {lines}") == [
        (4, 2, 2, 9.0, 1.01)
    ]
    found = rows(
        store,
        "SELECT kind, time_offset_s, end_s, frame_offset, tracker_id, class_name, score, facts->>'i' FROM events"
        f" WHERE {lines} ORDER BY time_offset_s, kind, frame_offset",
    )
    assert found == [
        ("line_in", 0.0, None, 0, None, "person", None, "1"),
        ("line_in", 0.0, None, 6, None, "person", None, "1"),
        ("zone_dwell", 0.5, 2.5, None, None, None, 2.0, None),
        ("line_in", 1.0, None, 12, None, "person", None, "1"),
    ]
    scenes = rows(store, f"SELECT scene_id, end_s, facts->>'calm' FROM scenes WHERE {lines} ORDER BY scene_id")
    assert scenes == [(0, 4.0, None), (1, 10.0, "true")]
    tracks = rows(store, f"SELECT frame_offset, detection_id, tracker_id FROM tracks WHERE {lines} ORDER BY ALL")
    assert tracks == [(0, 0, 1), (6, 0, 2), (12, 0, 1)]


def test_loads_in_any_order_and_a_rebuild_give_equal_tables(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    keys = filled(lake)
    write_finding(lake, finding(replace(RULES, name="gate"), 1))
    names, sums = [], []
    for seed in range(3):
        store = tmp_path / f"store{seed}"
        with Publisher(store, lake) as publisher:
            load(publisher, *(("", name) for name in lake.video_ids()), kind="video")
            for key in random.Random(seed).sample(keys * 2, len(keys) * 2):
                load(publisher, key)
        sums.append(snapshot_checksum(store))
        names.append(rows(store, "SELECT name, first_used_at FROM rulesets ORDER BY ALL"))
    assert set(sums[0]) >= {"findings", "rulesets", "events", "scenes", "tracks"}
    assert names[0][1][0] == "gate"
    assert (sums[1], sums[2]) == (sums[0], sums[0])
    done = rebuild(store, lake)
    assert (done.n_findings, done.set_aside) == (4, ())
    after = snapshot_checksum(store)
    assert {name: after[name] for name in sums[0]} == sums[0]
    assert rows(store, "SELECT name, first_used_at FROM rulesets ORDER BY ALL") == names[0] == names[1]


def test_what_is_gone_from_the_lake_leaves_the_tables(tmp_path: Path) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    keys = filled(lake)
    with Publisher(store, lake) as publisher:
        load(publisher, *keys)
        gone = [key for key in keys if key[0] == RULES.ruleset_id]
        for key in gone:
            delete_finding(lake, *key)
        load(publisher, *gone)
        assert rows(store, "SELECT DISTINCT ruleset_id FROM events UNION SELECT ruleset_id FROM rulesets") == [
            (OTHER.ruleset_id,)
        ]
        load(publisher, ("", video_name(0)), ("", video_name(1)), kind="forget")
    tables = ("findings", "rulesets", "events", "scenes", "tracks")
    assert [rows(store, f"FROM {table}") for table in tables] == [[]] * 5


def test_a_finding_of_a_forgotten_video_is_not_loaded(tmp_path: Path) -> None:
    """A ruleset may have been at work while its video was forgotten."""
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    write_finding(lake, finding(number=7))
    with Publisher(store, lake) as publisher:
        load(publisher, (RULES.ruleset_id, video_name(7)))
    assert rows(store, "FROM findings") == rows(store, "FROM events") == []


def test_a_damaged_finding_is_reported_and_what_was_loaded_stays(tmp_path: Path) -> None:
    lake, store = small_lake(tmp_path / "lake"), tmp_path / "store"
    write_finding(lake, finding())
    with Publisher(store, lake) as publisher:
        load(publisher, (RULES.ruleset_id, video_name(0)))
        path = finding_path(lake, RULES.ruleset_id, video_name(0))
        path.write_bytes(b"")
        done = publisher.publish([LoadEntry(9, "finding", video_name(0), RULES.ruleset_id)])
    assert done is not None
    assert [(item.path, item.code) for item in done.set_aside] == [(str(path), "results.unreadable")]
    assert rows(store, "SELECT count(*) FROM events") == [(4,)]
