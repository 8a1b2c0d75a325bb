"""The loader on a disk below its floor: nothing is published, nothing is lost, and it goes on by itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from framehouse import loader
from framehouse.config import KeepSettings, Settings, StoreSettings
from framehouse.errors import StoreError
from framehouse.results.lake import Lake
from framehouse.state import JobRequest, open_state
from framehouse.store.publish import Publisher
from framehouse.store.snapshots import current_snapshot
from lakes import DETECTOR, small_lake, video_name

pytestmark = [pytest.mark.real("duckdb"), pytest.mark.timeout(120)]
PETABYTE = 1024**5


def test_a_publish_waits_for_room(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "home", store=StoreSettings(publish_interval_s=0.1), keep=KeepSettings(floor_bytes=PETABYTE)
    )
    small_lake(settings.lake_dir)
    state, stop = open_state(settings.state_url), threading.Event()
    state.submit(JobRequest("clip.mp4", ("detector",)), job_id="j_one")
    state.conclude("j_one", "done", [(video_name(0), DETECTOR)])

    def drain() -> None:
        with Publisher(settings.store_dir, Lake(settings.lake_dir)) as publisher:
            loader.drain(publisher, state, settings, stop)

    thread = threading.Thread(target=drain)
    with capture_logs() as logs:
        thread.start()
        try:
            wait_for(lambda: any(entry.get("code") == "store.no_room" for entry in logs))
            time.sleep(3.0)
            assert state.job("j_one").status == "queued"
            with pytest.raises(StoreError, match="nothing has been published"):
                current_snapshot(settings.store_dir)
            settings.keep.floor_bytes = 0
            wait_for(lambda: state.job("j_one").status == "done")
        finally:
            stop.set()
            thread.join()
    assert len([entry for entry in logs if entry.get("code") == "store.no_room"]) == 1, "told once, not at each try"
    assert current_snapshot(settings.store_dir).exists()


def test_a_copy_of_the_database_is_counted_where_no_file_rests(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    with Publisher(tmp_path / "store", lake) as publisher:
        assert publisher.need_bytes() == 0
        publisher.publish([])
        assert publisher.need_bytes() == current_snapshot(tmp_path / "store").stat().st_size > 0


def wait_for(what: object, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
