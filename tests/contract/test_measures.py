"""Counters that processes add to at once, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from framehouse.backups import Backups
from framehouse.state import JobRequest, State, open_state
from framehouse.state.measures import MEASURES, JobCost, Tally, read_costs, read_measures, write_tally


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real("postgres"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'state.db'}"
    new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
    return new_database()


def test_what_many_add_at_once_is_all_there(url: str) -> None:
    def add(number: int) -> None:
        state, tally = open_state(url), Tally()
        for _ in range(5):
            tally.count("framehouse_errors_total", hop="infer", code='odd "code"\n')
            tally.count("framehouse_frames_total", number, model="détecteur/1", outcome="inferred")
            tally.observe("framehouse_chunk_seconds", 0.25 * number)
            tally.cost("j_1", "m/1", "d", JobCost(1, 0.5, 0.25, 1.0, 0.0, number))
            assert write_tally(state.engine, tally)
            assert not tally.counts, "told once"
        state.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(1, 5)))
    state = open_state(url)
    found = read_measures(state.engine)
    assert found["framehouse_errors_total"] == {(("code", 'odd "code"\n'), ("hop", "infer")): 20}
    assert found["framehouse_frames_total"] == {(("model", "détecteur/1"), ("outcome", "inferred")): 50}
    buckets = {labels[0][1]: value for labels, value in found["framehouse_chunk_seconds_bucket"].items()}
    assert [buckets[bound] for bound in ("0.05", "0.25", "1", "5", "+Inf")] == [0, 5, 20, 20, 20], "cumulative"
    assert found["framehouse_chunk_seconds_sum"] == {(): 12.5}
    assert read_costs(state.engine, "j_1") == {"d": JobCost(20, 10.0, 5.0, 20.0, 0.0, 50)}
    assert read_costs(state.engine, "j_2") == {}
    state.close()


def test_labels_are_those_that_were_declared() -> None:
    with pytest.raises(ValueError, match="labels"):
        Tally().count("framehouse_errors_total", hop="infer")
    with pytest.raises(KeyError):
        Tally().count("framehouse_nothing_total")
    assert all(name.endswith("_total") != bool(measure.buckets) for name, measure in MEASURES.items())


def test_a_database_that_is_away_ends_no_work(tmp_path: Path) -> None:
    tally = Tally()
    tally.count("framehouse_fetched_bytes_total", 3)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'none' / 'state.db'}")
    tally.cost("j_1", "m/1", "d", JobCost(1))
    assert not write_tally(engine, tally)
    state = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    assert write_tally(state.engine, tally), "it was kept for another try"
    assert read_measures(state.engine)["framehouse_fetched_bytes_total"] == {(): 3}
    assert read_costs(state.engine, "j_1") == {"d": JobCost(1)}
    state.close()


def test_an_ended_job_is_counted_by_its_outcome(url: str) -> None:
    state = open_state(url)
    for outcome in ("done", "failed", "done"):
        state.conclude(state.submit(JobRequest("clip.mp4", ("detector",))), outcome, [])  # type: ignore[arg-type]
    assert read_measures(state.engine)["framehouse_jobs_ended_total"] == {
        (("outcome", "done"),): 2,
        (("outcome", "failed"),): 1,
    }
    state.close()


def test_a_database_of_the_fourth_version_gets_the_tables(url: str, tmp_path: Path) -> None:
    old: State = open_state(url)
    job_id = old.submit(JobRequest("clip.mp4", ("detector",)))
    with old.engine.begin() as connection:
        for table in ("measures", "job_costs"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("DELETE FROM schema_version")
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (4)")
    old.close()
    state = open_state(url, backups=Backups(tmp_path / "backups"))
    assert state.job(job_id).status == "queued"
    assert read_measures(state.engine) == {}
    state.close()
