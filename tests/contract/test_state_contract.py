"""The state database keeps its promises on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from framehouse.backups import Backups
from framehouse.errors import ConfigError, JobNotFound, LeaseLost, MigrationError
from framehouse.state import JobRequest, Origin, State, open_state
from framehouse.state.budgets import catalog_budget
from framehouse.state.catalogs import Catalogs, CatalogWish
from framehouse.state.shares import Shares
from framehouse.state.tallies import take_tallies
from framehouse.state.turns import owed_in_turn, take_seat
from framehouse.state.uploads import Uploads

REQUEST = JobRequest("clip.mp4", ("detector",), "5", 0.4)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real("postgres"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'state.db'}"
    new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
    return new_database()


@pytest.fixture
def state(url: str) -> Iterator[State]:
    opened = open_state(url)
    yield opened
    opened.close()


def test_a_job_is_stored_as_it_was_asked_for(state: State) -> None:
    request = JobRequest("s 3é.mp4", ("detector/1", "clip"), "30000/1001", 0.25, priority=3, allow_private=False)
    job = state.job(state.submit(request))
    assert (job.request, job.status, job.attempt) == (request, "queued", 0)


def test_no_such_job(state: State) -> None:
    with pytest.raises(JobNotFound):
        state.job("j_none")


def test_same_token_same_job_also_when_many_ask_at_once(state: State) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(state.submit(REQUEST, client_token="t"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert state.submit(REQUEST) not in found


def test_only_one_of_many_gets_a_lease(state: State) -> None:
    got: list[str] = []

    def take(owner: str) -> None:
        if state.acquire("video/v", owner, 60.0) is not None:
            got.append(owner)

    threads = [threading.Thread(target=take, args=(f"run {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_an_expired_lease_goes_to_the_next_with_a_higher_fence(state: State) -> None:
    first = state.acquire("job/j", "a", ttl_s=-1.0)
    second = state.acquire("job/j", "b", 60.0)
    assert first is not None
    assert second is not None
    assert second.fence > first.fence
    assert not state.renew(first, 60.0)
    assert state.renew(second, 60.0)
    assert state.acquire("job/j", "a", 60.0) is None


def test_released_is_free_and_broken_is_free(state: State) -> None:
    lease = state.acquire("job/j", "a", 60.0)
    assert lease is not None
    state.release(lease)
    assert not state.is_held("job/j")
    assert state.acquire("job/j", "b", 60.0) is not None
    state.break_lease("job/j")
    assert state.acquire("job/j", "c", 60.0) is not None


def test_a_run_that_lost_its_lease_cannot_write(state: State) -> None:
    job_id = state.submit(REQUEST)
    late = state.acquire(f"job/{job_id}", "late", ttl_s=-1.0)
    present = state.acquire(f"job/{job_id}", "present", 60.0)
    assert late is not None
    assert present is not None
    state.begin_attempt(present, job_id)
    for write in (
        lambda: state.note(late, job_id, hop="infer"),
        lambda: state.note_settled(late, job_id, 99),
        lambda: state.begin_attempt(late, job_id),
        lambda: state.conclude(job_id, "done", [("v", "d")], lease=late),
    ):
        with pytest.raises(LeaseLost):
            write()
    job = state.job(job_id)
    assert (job.status, job.hop, job.n_settled, job.outcome) == ("running", None, 0, None)
    assert state.loads_after(0) == []


def test_owed_is_what_is_not_over_and_not_held(state: State) -> None:
    low = state.submit(REQUEST)
    high = state.submit(JobRequest("b.mp4", ("detector",), priority=5))
    held = state.submit(REQUEST)
    concluded = state.submit(REQUEST)
    cancelled = state.submit(REQUEST)
    state.acquire(f"job/{held}", "a", 60.0)
    state.conclude(concluded, "done", [])
    state.conclude(cancelled, "cancelled", [])
    assert [job.job_id for job in state.owed_jobs()] == [high, low]


def limited(state: State, name: str, max_running: int | None) -> str:
    """A catalogue with a limit; returns the budget that marks its jobs."""
    Catalogs(state.engine).add(CatalogWish(name, "/videos", ("detector",), max_running=max_running))
    return catalog_budget(name)


def test_a_limited_catalogue_keeps_nobody_else_waiting(state: State) -> None:
    budget, open_budget = limited(state, "long", 2), limited(state, "open", None)
    long = [state.submit(replace(REQUEST, budget=budget, priority=9)) for _ in range(8)]
    short = [state.submit(replace(REQUEST, budget=b)) for b in ("", open_budget, "budget of other things")]
    assert [job.job_id for job in owed_in_turn(state, 100)] == [*long[:2], *short]
    assert [job.job_id for job in owed_in_turn(state, 1)] == long[:1]
    assert state.acquire(f"job/{long[0]}", "a", 60.0)
    assert [job.job_id for job in owed_in_turn(state, 100)] == [long[1], *short]
    urgent = state.submit(replace(REQUEST, budget=budget, priority=10))
    assert [job.job_id for job in owed_in_turn(state, 100)] == [urgent, *short]
    catalogs = Catalogs(state.engine)
    catalogs.change(catalogs.get("long").catalog_id, max_running=1)
    assert [job.job_id for job in owed_in_turn(state, 100)] == short
    catalogs.change(catalogs.get("long").catalog_id, max_running=0)
    assert [job.job_id for job in owed_in_turn(state, 100)] == [urgent, *long[1:], *short]


def test_of_many_runners_that_want_the_last_seats_as_many_get_one(state: State) -> None:
    budget = limited(state, "long", 3)
    jobs = [state.job(state.submit(replace(REQUEST, budget=budget))) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda job: take_seat(state, job, f"run of {job.job_id}", 60.0), jobs))
    assert sum(got) == 3
    seated = next(job for job, has in zip(jobs, got, strict=True) if has)
    refused = next(job for job, has in zip(jobs, got, strict=True) if not has)
    assert not state.is_held(f"job/{refused.job_id}"), "who gets no seat holds nothing"
    assert take_seat(state, seated, f"run of {seated.job_id}", 60.0), "its own seat it has"
    lease = state.acquire(f"job/{seated.job_id}", f"run of {seated.job_id}", 60.0)
    assert lease is not None, "the run takes over what was taken for it"
    state.release(lease)
    assert take_seat(state, refused, "late", 60.0)


def test_a_job_of_no_limited_catalogue_needs_no_seat(state: State) -> None:
    job = state.job(state.submit(replace(REQUEST, budget=limited(state, "open", None))))
    assert take_seat(state, job, "a", 60.0)
    assert take_seat(state, state.job(state.submit(REQUEST)), "a", 60.0)
    assert not state.is_held(f"job/{job.job_id}")


def test_attempts_that_settle_nothing_new_are_counted(state: State) -> None:
    job_id = state.submit(REQUEST)
    counts = []
    for n_settled in (10, 10, 10, 11):
        lease = state.acquire(f"job/{job_id}", "a", 60.0)
        assert lease is not None
        state.begin_attempt(lease, job_id)
        state.note_settled(lease, job_id, n_settled)
        counts.append(state.job(job_id).stalled_attempts)
        state.release(lease)
    assert counts == [0, 1, 2, 0]


def test_done_shows_when_a_snapshot_holds_the_rows_and_failure_at_once(state: State) -> None:
    done, failed = state.submit(REQUEST), state.submit(REQUEST)
    seq = state.conclude(done, "done", [("v", "d")])
    state.conclude(failed, "failed", [], error=("media.truncated", "cut short", "copy it again"))
    assert state.job(done).status == "queued"
    assert state.job(failed).status == "failed"
    assert state.job(failed).error_code == "media.truncated"
    assert state.settle_published(seq - 1) == []
    assert state.settle_published(seq) == [done]
    assert state.job(done).status == "done"
    assert state.settle_published(seq) == []


def test_load_numbers_are_in_commit_order_and_an_earlier_wish_is_left_out(state: State) -> None:
    state.request_load([("v1", "d"), ("v2", "d")])
    last = state.request_load([("v1", "d")], ["j"])
    rows = state.loads_after(0)
    assert [(row.seq, row.kind, row.video_id, row.job_id) for row in rows] == [
        (2, "parts", "v2", None),
        (3, "parts", "v1", None),
        (4, "job", None, "j"),
    ]
    assert last == state.last_load_seq() == 4
    state.forget_loads(3)
    assert [row.seq for row in state.loads_after(0)] == [4]


def test_many_writers_get_different_load_numbers(state: State) -> None:
    def ask(i: int) -> None:
        for n in range(5):
            state.request_load([(f"v{i}", f"d{n}")])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.seq for row in state.loads_after(0)] == list(range(1, 31))


def test_a_new_state_beside_an_older_store_gives_higher_numbers(state: State) -> None:
    state.skip_loads(41)
    state.skip_loads(7)
    assert state.request_load([("v", "d")]) == 42


def test_retry_clears_the_failure_and_cancel_is_a_wish(state: State) -> None:
    job_id = state.submit(REQUEST)
    state.request_cancel(job_id)
    assert [job.job_id for job in state.cancel_wanted()] == [job_id]
    state.conclude(job_id, "cancelled", [])
    assert state.cancel_wanted() == []
    job = state.reopen(job_id)
    assert (job.status, job.outcome, job.cancel_requested, job.flow_run_id) == ("queued", None, False, None)


def test_only_who_saw_the_last_run_assigns_the_next(state: State) -> None:
    job_id = state.submit(REQUEST)
    assert state.assign_run(job_id, "run 1", expected=None)
    assert not state.assign_run(job_id, "run 2", expected=None)
    assert state.assign_run(job_id, "run 2", expected="run 1")
    found = state.job_of_flow_run("run 2")
    assert found is not None
    assert found.job_id == job_id


def test_shares_are_added_and_taken_back(state: State) -> None:
    shares = Shares(state.engine)
    for key_id in ("k_b", "k_a", "k_b"):
        shares.add("j_1", key_id)
    assert shares.of_thing("j_1") == ["k_a", "k_b"]
    assert (shares.has("j_1", "k_a"), shares.has("j_2", "k_a"), shares.has("j_1", "")) == (True, False, False)
    for _ in range(2):
        shares.remove("j_1", "k_a")
    assert shares.of_thing("j_1") == ["k_b"]


def test_tallies_count_what_there_is(state: State) -> None:
    assert take_tallies(state.engine, time.time()).jobs == dict.fromkeys(
        ("queued", "running", "paused", "done", "failed", "cancelled"), 0
    )
    first, second = state.submit(REQUEST), state.submit(REQUEST)
    lease = state.acquire(f"job/{first}", "run", 60.0)
    assert lease is not None
    state.begin_attempt(lease, first)
    state.note(lease, first, n_planned=10)
    state.note_settled(lease, first, 4)
    Uploads(state.engine).create("", "a.mp4", ttl_s=60)
    found = take_tallies(state.engine, time.time())
    assert (found.jobs["queued"], found.jobs["running"], found.n_planned, found.n_settled) == (1, 1, 10, 4)
    assert (found.n_leases, found.n_uploads_awaited, found.n_loads, found.n_deliveries_pending) == (1, 1, 0, 0)
    assert found.oldest_queued_at == state.job(second).submitted_at


def test_state_outlives_its_process(url: str) -> None:
    first = open_state(url)
    job_id = first.submit(REQUEST)
    first.close()
    assert open_state(url).job(job_id).request == REQUEST


def test_a_later_release_is_refused(url: str) -> None:
    import sqlalchemy as sa

    open_state(url).close()
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(MigrationError, match="version 99"):
        open_state(url)


def test_a_wrong_url_is_one_line_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        open_state("postgresql+psycopg://me:secret@127.0.0.1:1/none")
    assert "secret" not in caught.value.line()
    assert caught.value.code == "config.state"


def test_a_database_of_the_first_version_is_brought_up_to_date_by_many_at_once(url: str, tmp_path: Path) -> None:
    old = open_state(url)
    job_id = old.submit(REQUEST, client_token="t")
    limited(old, "kept", None)
    with old.engine.begin() as connection:
        for column in ("owner", "wire", "upload_id"):
            connection.exec_driver_sql(f"ALTER TABLE jobs DROP COLUMN {column}")
        connection.exec_driver_sql("ALTER TABLE catalogs DROP COLUMN max_running")
        for table in ("api_keys", "uploads", "webhooks", "deliveries"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("DELETE FROM schema_version")
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (1)")
    old.close()
    backups = Backups(tmp_path / "backups")
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda url: open_state(url, backups=backups), [url] * 4))
    assert len(backups.of("state")) == 1
    job = opened[0].job(job_id)
    assert (job.request, job.origin, job.status) == (REQUEST, Origin(), "queued")
    assert Catalogs(opened[0].engine).get("kept").wish.max_running is None
    wire = ({"model_id": "detector", "model_version": "1", "inference_type": "object-detection"},)
    later = opened[1].submit(REQUEST, origin=Origin("k_1", wire, "u_1"), client_token="t")
    assert opened[2].job(later).origin == Origin("k_1", wire, "u_1")
    assert later != job_id, "a token counts for its owner alone"
    assert [job.job_id for job in opened[3].list_jobs(owner="k_1")] == [later]
    for state in opened:
        state.close()
