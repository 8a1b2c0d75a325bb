"""The notebooks' connection: read-only, always on the newest snapshot, with what is one's own beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import framehouse
from framehouse.errors import ConfigError, QueryRejected, StoreError
from framehouse.notebook import Notebook
from framehouse.results.lake import Lake
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import run_query
from lakes import put_job, put_part, small_lake


def publish(home: Path, lake: Lake) -> None:
    """Everything in the lake, once more."""
    with Publisher(home / "store", lake) as publisher:
        first = publisher.published_seq + 1
        entries = [LoadEntry(first + i, "parts", *key) for i, key in enumerate(lake.part_keys())]
        entries += [LoadEntry(first + 100 + i, "job", job_id=job_id) for i, job_id in enumerate(lake.job_ids())]
        publisher.publish(entries)


@pytest.fixture
def lake(home: Path) -> Lake:
    lake = small_lake(home / "lake")
    publish(home, lake)
    return lake


@pytest.fixture
def house(home: Path, lake: Lake) -> Iterator[Notebook]:
    with framehouse.connect(home) as house:
        yield house


def test_rows_come_as_relations_and_frames(house: Notebook) -> None:
    found = house.sql("SELECT * FROM objects_per_video").df()
    assert isinstance(found, pd.DataFrame) and {"uri", "class_name"} <= set(found.columns)
    assert house.sql("SELECT ? + 1", [1]).fetchall() == [(2,)]
    assert house.sql("SELECT $a + 1", {"a": 2}).fetchall() == [(3,)]


def test_own_frames_and_tables_stand_beside_it_and_the_snapshot_cannot_be_written(house: Notebook) -> None:
    prices = pd.DataFrame({"class_name": ["person", "car"], "price": [1, 2]})
    joined = house.sql("SELECT sum(price) FROM detections JOIN prices USING (class_name)").fetchall()
    assert joined[0][0] > len(prices)
    house.sql("CREATE TEMP TABLE mine AS SELECT 1 AS a")
    assert house.sql("FROM mine").fetchall() == [(1,)]
    with pytest.raises(QueryRejected, match="read-only"):
        house.sql("DELETE FROM detections")
    with pytest.raises(QueryRejected, match="nowhere"):
        house.sql("FROM nowhere")


def test_a_newer_snapshot_is_taken_and_what_is_ones_own_stays(home: Path, lake: Lake, house: Notebook) -> None:
    before, earlier = house.sql("SELECT count(*) FROM inferences").fetchall(), house.snapshot
    later = house.sql("SELECT count(*) FROM inferences")
    house.sql("CREATE TEMP TABLE mine AS SELECT 1 AS a")
    assert not house.refresh()
    put_job(lake, "j_more", range(0, 50), 9)
    put_part(lake, range(0, 50), number=9, job_id="j_more")
    publish(home, lake)
    after = house.sql("SELECT count(*) FROM inferences").fetchall()
    assert after[0][0] == before[0][0] + 50
    assert house.snapshot != earlier
    assert later.fetchall() == after, "an earlier relation is a question too"
    assert house.sql("FROM mine").fetchall() == [(1,)]
    publish(home, lake)
    publish(home, lake)
    assert house.sql("SELECT count(*) FROM inferences").fetchall() == after
    assert len(list((home / "store").glob("snapshot-*.duckdb"))) <= 3, "nothing that is not held is kept"


def test_the_threshold_of_the_views_can_be_set(house: Notebook) -> None:
    counted = "SELECT count(*) FROM words_per_frame"
    few, many = house.sql(counted, confidence=0.9).fetchall(), house.sql(counted, confidence=0.1).fetchall()
    assert few < many


def test_other_readers_of_this_process_go_on(home: Path, house: Notebook) -> None:
    assert run_query(home / "store", "SELECT 1").rows() == [(1,)]
    assert house.search("car", by="tags")["word"].tolist()[:1] == ["car"]
    found = house.search("person", top=2)
    assert len(found) == 2 and found.attrs["notes"][0].startswith("not by CLIP")
    with pytest.raises(StoreError) as nothing:
        house.search("person", video_ids=["v_none"])
    assert nothing.value.code == "search.nothing_indexed"


def test_embed_text_and_moments(house: Notebook) -> None:
    assert house.sql("SELECT len(embed_text('red circle'))").fetchall() == [(64,)]
    assert house.sql("FROM moments(embed_text('red circle'), 5)").fetchall() == []
    with pytest.raises(Exception, match=r"search\.text"):
        house.sql("SELECT embed_text('')").fetchall()


def test_no_such_home_and_nothing_published_are_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        framehouse.connect(tmp_path / "nowhere")
    assert refused.value.code == "config.home"
    (tmp_path / "new").mkdir()
    with pytest.raises(StoreError) as empty:
        framehouse.connect(tmp_path / "new")
    assert empty.value.code == "store.empty"


def test_a_script_that_leaves_it_open_ends_without_a_word(home: Path, lake: Lake) -> None:
    code = "import framehouse; h = framehouse.connect(); print(h.sql(\"SELECT len(embed_text('red'))\").fetchall())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[(64,)]\n", "")
