"""Exports: what other tools read out of a folder is what the tables hold; the same rows give the same bytes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import supervision as sv
from PIL import Image
from pycocotools.coco import COCO

from findings_in_hand import finding
from framehouse.errors import ConfigError, FramehouseError, JobNotFound
from framehouse.export import folder as folder_module
from framehouse.export.folder import new_folder, write_manifest
from framehouse.export.objects import LANDMARKS, Classes, Objects
from framehouse.export.run import Format, Place, export
from framehouse.export.selection import Wanted
from framehouse.export.tables import find_tables
from framehouse.results import masks
from framehouse.results.finding_files import write_finding
from framehouse.results.lake import Lake
from framehouse.store.connection import reading
from framehouse.store.job_results import job_results
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from kind_rows import CLASSES, POINTS
from lakes import digest_of, fill_small, put_every_kind, put_job, put_part, small_lake, video_name

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
GAP = 4
SIZE = (640, 360)
EVERYTHING = Wanted()
SURE = Wanted(confidence=0.4)
BOXES = ("detector-1", "persons-1", "keypoints-1", "gaze-1", "ocr-1")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos by a detector, one of them with a gap; a third by a model of every kind; and a job that failed."""
    root = tmp_path_factory.mktemp("exported")
    lake = small_lake(root / "lake")
    put_every_kind(lake, gap=GAP)
    put_job(lake, "j_bad", [], 2, status="failed", models=(), video_id=None, uri="/gone.mp4")
    write_finding(lake, finding(number=1))
    rebuild(root / "store", lake)
    return root / "store"


Write = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture
def write(store: Path, tmp_path: Path) -> Write:
    def run(form: str, wanted: Wanted = EVERYTHING, **options: Any) -> tuple[Path, dict[str, Any]]:
        out = tmp_path / f"{form}-{len(list(tmp_path.iterdir()))}"
        return out, export(Place(store, out), Format(form), wanted, labels={}, **options)

    return run


def blank(folder: Path, video_id: str, frame_offset: Any) -> None:
    for frame in frame_offset:
        Image.new("RGB", SIZE, (frame % 256, 0, 0)).save(folder / f"{video_id}-{frame:08d}.jpg")


def ask(store: Path, sql: str, *params: object) -> list[tuple[Any, ...]]:
    return run_query(store, sql, params=params or None, max_rows=None).rows()


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- all formats


@pytest.fixture(scope="module")
def store_again(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tables, loaded from one lake that was written in another order."""
    root = tmp_path_factory.mktemp("again")
    lake = Lake(root / "lake")
    put_job(lake, "j_bad", [], 2, status="failed", models=(), video_id=None, uri="/gone.mp4")
    shutil.copytree(store.parent / "lake" / "findings", root / "lake" / "findings")  # it knows when it was made
    put_every_kind(lake, gap=GAP)
    rebuild(root / "store", fill_small(lake))
    return root / "store"


@pytest.mark.parametrize("form", Format)
def test_the_same_rows_give_the_same_bytes(write: Write, store_again: Path, tmp_path: Path, form: str) -> None:
    first, _ = write(form)
    export(Place(store_again, tmp_path / "again"), Format(form), EVERYTHING, labels={})
    assert files(first) == files(tmp_path / "again")
    assert json.loads((first / "export.json").read_text())["format"] == form


# ---------------------------------------------------------------- COCO


@pytest.fixture(scope="module")
def coco(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("coco") / "out"
    export(Place(store, out), Format.COCO, SURE, labels={})
    yield out / "annotations"


def loaded(path: Path, capsys: pytest.CaptureFixture[str]) -> COCO:
    found = COCO(str(path))
    capsys.readouterr()
    return found


def by_row(found: COCO) -> list[tuple[Any, dict[str, Any]]]:
    """(video, frame, index) and annotation of each, ordered."""
    images = found.imgs
    keyed = [
        ((images[a["image_id"]]["video_id"], images[a["image_id"]]["frame_offset"], a["detection_id"]), a)
        for a in found.anns.values()
    ]
    return sorted(keyed, key=lambda pair: pair[0])


@pytest.mark.parametrize(
    ("name", "table", "row_id", "sure"),
    [
        ("detector-1", "detections", "detection_id", "confidence"),
        ("persons-1", "detections", "detection_id", "confidence"),
        ("keypoints-1", "detections", "detection_id", "confidence"),
        ("gaze-1", "gazes", "gaze_id", "face_confidence"),
        ("ocr-1", "texts", "text_id", "confidence"),
    ],
)
def test_coco_goes_back_to_the_rows(
    store: Path, coco: Path, capsys: pytest.CaptureFixture[str], name: str, table: str, row_id: str, sure: str
) -> None:
    found = loaded(coco / f"{name}.json", capsys)
    rows = ask(
        store,
        f"SELECT video_id, frame_offset, {row_id}, {sure}, x, y, width, height FROM {table}"
        f" WHERE model_id = '{name.replace('-', '/')}' AND {sure} >= 0.4::FLOAT ORDER BY ALL",
    )
    assert len(rows) > 8
    pairs = by_row(found)
    assert [key for key, _ in pairs] == [row[:3] for row in rows]
    for (_, annotation), row in zip(pairs, rows, strict=True):
        assert np.float32(annotation["score"]) == np.float32(row[3])
        left, top, width, height = annotation["bbox"]
        np.testing.assert_allclose([left + width / 2, top + height / 2, width, height], row[4:], atol=2e-3)


def test_coco_has_every_picture_that_was_judged_and_no_gap(store: Path, coco: Path, capsys: Any) -> None:
    found = loaded(coco / "persons-1.json", capsys)
    frames = [image["frame_offset"] for image in found.imgs.values()]
    assert frames == [frame for frame in range(0, 40, 4) if frame != GAP]
    ids = {n: {i["file_name"]: i["id"] for i in loaded(coco / f"{n}.json", capsys).imgs.values()} for n in BOXES}
    assert ids["persons-1"] == ids["ocr-1"]
    assert len(set(ids["detector-1"].values()) | set(ids["ocr-1"].values())) == 9 + 20 + 9
    assert all(ids["detector-1"].get(name, number) == number for name, number in ids["gaze-1"].items())


def test_coco_masks_are_the_stored_masks(store: Path, coco: Path, capsys: Any) -> None:
    found = loaded(coco / "persons-1.json", capsys)
    stored = {
        row[:3]: row[3]
        for row in ask(store, "SELECT video_id, frame_offset, detection_id, mask FROM detections WHERE mask NOT NULL")
    }
    for key, annotation in by_row(found):
        expected = masks.decode(stored[key], SIZE)
        np.testing.assert_array_equal(found.annToMask(annotation).astype(bool), expected)
        assert annotation["area"] == expected.sum()


def test_coco_points_are_the_stored_points(store: Path, coco: Path, capsys: Any) -> None:
    found = loaded(coco / "keypoints-1.json", capsys)
    assert [category["keypoints"] for category in found.cats.values()] == [[*POINTS]] * 3
    stored = {
        row[:3]: row[3]
        for row in ask(
            store, "SELECT video_id, frame_offset, detection_id, keypoints FROM detections WHERE keypoints NOT NULL"
        )
    }
    flags = set()
    for key, annotation in by_row(found):
        points = np.array(annotation["keypoints"]).reshape(-1, 3)
        np.testing.assert_allclose(points[:, :2], [[p["x"], p["y"]] for p in stored[key]], atol=1e-3)
        sure = np.array([p["confidence"] for p in stored[key]], np.float32)
        np.testing.assert_array_equal(np.array(annotation["keypoint_scores"], np.float32), sure)
        np.testing.assert_array_equal(points[:, 2] == 2, sure >= np.float32(0.4))
        flags |= set(points[:, 2].tolist())
    assert flags == {1, 2}


def test_coco_faces_and_lines_of_text(store: Path, coco: Path, capsys: Any) -> None:
    faces, lines = loaded(coco / "gaze-1.json", capsys), loaded(coco / "ocr-1.json", capsys)
    assert faces.cats[1]["keypoints"] == [*LANDMARKS]
    looks = ask(store, "SELECT yaw_rad, pitch_rad FROM gazes WHERE face_confidence >= 0.4::FLOAT ORDER BY ALL")
    told = sorted((np.float32(a["yaw_rad"]), np.float32(a["pitch_rad"])) for a in faces.anns.values())
    assert told == [(np.float32(yaw), np.float32(pitch)) for yaw, pitch in looks]
    texts = ask(store, "SELECT text FROM texts WHERE confidence >= 0.4::FLOAT ORDER BY text")
    assert sorted(a["text"] for a in lines.anns.values()) == sorted(text for (text,) in texts)
    assert {len(a["segmentation"][0]) for a in lines.anns.values()} == {8}


def test_coco_categories_hold_what_the_model_could_say(write: Write, store: Path, tmp_path: Path) -> None:
    only_dogs = Wanted(classes=("dog",))
    known = [*CLASSES, "cat"]
    for labels, expected in (({"detector/1": known}, known), ({}, [*CLASSES]), ({"detector/1": ["a", "b", "c"]}, None)):
        out = tmp_path / str(len(labels)) / str(expected)
        export(Place(store, out), Format.COCO, only_dogs, labels=labels)
        document = json.loads((out / "annotations" / "detector-1.json").read_text())
        names = [category["name"] for category in document["categories"]]
        assert names == (expected if labels == {"detector/1": known} else ["class_0", "class_1", "dog"])
        assert {annotation["category_id"] for annotation in document["annotations"]} == {3}


# ---------------------------------------------------------------- YOLO


@pytest.fixture(scope="module")
def yolo(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("yolo") / "out"
    export(Place(store, out), Format.YOLO, SURE, labels={}, pictures=blank)
    return out


def dataset(root: Path, **options: Any) -> sv.DetectionDataset:
    folders = {"images_directory_path": str(root / "images"), "annotations_directory_path": str(root / "labels")}
    return sv.DetectionDataset.from_yolo(**folders, data_yaml_path=str(root / "data.yaml"), **options)


@pytest.mark.parametrize("name", ["detector-1", "keypoints-1"])
def test_yolo_boxes_are_the_rows_cut_off_at_the_edges(store: Path, yolo: Path, name: str) -> None:
    found = dataset(yolo / name)
    assert found.classes == [*CLASSES]
    n_objects = 0
    every = ask(
        store,
        "SELECT video_id, frame_offset, class_id, x - width / 2, y - height / 2, x + width / 2, y + height / 2"
        " FROM detections WHERE model_id = ? AND confidence >= 0.4::FLOAT ORDER BY detection_id",
        name.replace("-", "/"),
    )
    for path, _picture, seen in found:
        video_id, frame = Path(path).stem.rsplit("-", 1)
        rows = [row[2:] for row in every if row[:2] == (video_id, int(frame))]
        boxes = np.clip(np.array([row[1:] for row in rows]).reshape(-1, 4), 0, np.tile(SIZE, 2))
        assert seen.class_id is not None
        assert seen.class_id.tolist() == [row[0] for row in rows]
        np.testing.assert_allclose(seen.xyxy, boxes, atol=2e-3)
        n_objects += len(rows)
    assert n_objects > 8
    assert len(found) == len(list((yolo / name / "labels").iterdir())) == len(list((yolo / name / "images").iterdir()))


def test_yolo_shapes_cover_the_masks(store: Path, yolo: Path) -> None:
    found = dataset(yolo / "persons-1", force_masks=True)
    stored: dict[str, list[Any]] = {}
    for video_id, frame, mask in ask(
        store,
        "SELECT video_id, frame_offset, mask FROM detections WHERE mask NOT NULL AND confidence >= 0.4::FLOAT"
        " ORDER BY detection_id",
    ):
        stored.setdefault(f"{video_id}-{frame:08d}", []).append(masks.decode(mask, SIZE))
    n_masks = 0
    for path, _picture, seen in found:
        for got, expected in zip(
            seen.mask if seen.mask is not None else [], stored.get(Path(path).stem, []), strict=True
        ):
            assert (got & expected).sum() / (got | expected).sum() > 0.9
            n_masks += 1
    assert n_masks > 8


def test_yolo_points_have_their_place_and_twins(store: Path, yolo: Path) -> None:
    facts = (yolo / "keypoints-1" / "data.yaml").read_text()
    assert "kpt_shape:\n- 3\n- 3\nflip_idx:\n- 0\n- 2\n- 1\n" in facts
    every = ask(
        store,
        "SELECT video_id, frame_offset, keypoints FROM detections WHERE keypoints NOT NULL"
        " AND confidence >= 0.4::FLOAT ORDER BY detection_id",
    )
    for label in (yolo / "keypoints-1" / "labels").iterdir():
        video_id, frame = label.stem.rsplit("-", 1)
        rows = [(points,) for *key, points in every if key == [video_id, int(frame)]]
        lines = [np.array(line.split()[5:], float).reshape(-1, 3) for line in label.read_text().splitlines()]
        for line, (points,) in zip(lines, rows, strict=True):
            expected = np.array([[p["x"] / SIZE[0], p["y"] / SIZE[1], 2] for p in points])
            np.testing.assert_allclose(line, expected, atol=1e-6)


def test_yolo_every_number_lies_in_the_picture(yolo: Path) -> None:
    for label in yolo.rglob("labels/*.txt"):
        for line in label.read_text().splitlines():
            numbers = np.array(line.split()[1:], float)
            assert ((numbers >= 0) & ((numbers <= 1) | (numbers == 2))).all(), label


# ---------------------------------------------------------------- tables


def test_the_keys_tell_the_rows_of_every_table_apart(store: Path) -> None:
    with reading(store) as connection:
        tables = find_tables(connection)
    assert {"detections", "videos", "jobs", "usage", "frames"} <= {table.name for table in tables}
    for table in tables:
        n_rows, n_keys = ask(store, f"SELECT count(*), count(DISTINCT ({', '.join(table.key)},)) FROM {table.name}")[0]
        assert (n_rows, bool(table.key)) == (n_keys, True), table.name


def test_parquet_keeps_types_comments_and_rows(store: Path, write: Write) -> None:
    out, written = write("parquet")
    assert written["tables"]["jobs"] == 4  # the one without a video too
    outside = duckdb.connect()
    snapshot = next(store.glob("snapshot-*.duckdb"))
    outside.execute(f"ATTACH '{snapshot}' AS db (READ_ONLY)")
    with reading(store) as connection:
        tables = find_tables(connection)
    for table in tables:
        made = f"read_parquet('{out / table.name}/*.parquet')"
        types = outside.execute(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {made})").fetchall()
        assert types == [(column.name, column.type) for column in table.columns]
        differing = f"SELECT * FROM {made} EXCEPT ALL SELECT * FROM db.{table.name}"
        assert outside.execute(differing).fetchall() == []
        assert outside.execute(f"SELECT count(*) FROM {made}").fetchall() == [(written["tables"][table.name],)]
        assert outside.execute(f"SELECT count(*) FROM db.{table.name}").fetchall() == [(written["tables"][table.name],)]
        schema = pq.read_schema(out / table.name / "part-00000.parquet")
        assert schema.field(0).metadata[b"comment"].decode() == table.columns[0].comment
    outside.close()


def test_csv_goes_back_to_the_rows_with_the_types_of_tables_json(store: Path, write: Write) -> None:
    out, _ = write("csv")
    outside = duckdb.connect()
    outside.execute(f"ATTACH '{next(store.glob('snapshot-*.duckdb'))}' AS db (READ_ONLY)")
    for name, facts in json.loads((out / "tables.json").read_text()).items():
        columns = [(column["name"], column["type"]) for column in facts["columns"]]
        nested = {name: "JSON" for name, kind in columns if kind.endswith("]") or kind.startswith(("MAP", "STRUCT"))}
        read = {name: nested.get(name, kind) for name, kind in columns}
        shown = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in columns)
        options = f"header = true, columns = {read}, allow_quoted_nulls = false"
        made = f"SELECT {shown} FROM read_csv('{out / name}.csv', {options})"
        assert outside.execute(f"({made}) EXCEPT ALL SELECT * FROM db.{name}").fetchall() == [], name
        assert outside.execute(f"SELECT count(*) FROM ({made})").fetchall() == [(facts["n_rows"],)]
        assert all(column["comment"] for column in facts["columns"])
    outside.close()


def test_parts_are_cut_by_rows_alone(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framehouse.export.tables.GROUP_ROWS", 10)
    monkeypatch.setattr("framehouse.export.tables.PART_ROWS", 40)
    seen = []
    for videos_at_once, batch in ((1, 7), (64, 65_536)):
        monkeypatch.setattr("framehouse.export.tables._VIDEOS_AT_ONCE", videos_at_once)
        monkeypatch.setattr("framehouse.export.tables._BATCH_ROWS", batch)
        out = tmp_path / str(batch)
        export(Place(store, out), Format.PARQUET, EVERYTHING, labels={})
        seen.append(files(out))
        parts = [pq.ParquetFile(path) for path in sorted((out / "detections").iterdir())]
        sizes = [[part.metadata.row_group(i).num_rows for i in range(part.num_row_groups)] for part in parts]
        assert sizes == [[10] * 4, [10] * 4, [10, 10, 8]]
    assert seen[0] == seen[1]


# ---------------------------------------------------------------- a job's JSON


def test_roboflow_is_what_results_prints(store: Path, write: Write) -> None:
    out, written = write("roboflow")
    assert sorted(written["jobs"]) == ["j_all", "j_one", "j_two"]
    for job_id in written["jobs"]:
        assert json.loads((out / f"{job_id}.json").read_text()) == job_results(store, job_id)


def test_roboflow_of_one_model_and_some_classes(store: Path, write: Write) -> None:
    out, _ = write("roboflow", Wanted(model="detector", classes=("dog",), job_id="j_one", confidence=0.2))
    found = json.loads((out / "j_one.json").read_text())
    whole = job_results(store, "j_one", confidence=0.2)
    assert list(found) == ["frame_offset", "time_offset", "detector"]
    assert [element and len(element["predictions"]) for element in found["detector"]] == [
        element and sum(item["class"] == "dog" for item in element["predictions"]) for element in whole["detector"]
    ]
    out, _ = write("roboflow", Wanted(classes=("dog",), job_id="j_all"))
    found, whole = json.loads((out / "j_all.json").read_text()), job_results(store, "j_all")
    assert [found[key] == whole[key] for key in ("gaze", "ocr", "clip")] == [True] * 3
    for key in ("moods", "tags", "persons"):
        names = {
            item if isinstance(item, str) else item["class"]
            for element in found[key]
            if element
            for item in element["predictions"]
        }
        assert names == {"dog"}, key


# ---------------------------------------------------------------- what is chosen


def test_one_video_one_model_one_job_one_class(store: Path, write: Write) -> None:
    _, of_video = write("csv", Wanted(video_ids=(video_name(0),)))
    assert (of_video["tables"]["videos"], of_video["tables"]["jobs"], of_video["tables"]["frames"]) == (1, 1, 10)
    _, of_model = write("csv", Wanted(model="tags"))
    assert (of_model["tables"]["detections"], of_model["tables"]["embeddings"]) == (0, 0)
    assert of_model["tables"]["classifications"] > 0
    assert (of_video["tables"]["rulesets"], of_video["tables"]["events"]) == (0, 0)
    _, of_job = write("csv", Wanted(job_id="j_two"))
    assert (of_job["tables"]["rulesets"], of_job["tables"]["events"], of_job["tables"]["tracks"]) == (1, 4, 3)
    assert (of_job["tables"]["jobs"], of_job["tables"]["job_frames"], of_job["tables"]["inferences"]) == (1, 20, 20)
    expected = ask(store, "SELECT count(*) FROM detections WHERE class_name = 'dog' AND confidence >= 0.5::FLOAT")
    _, of_class = write("csv", Wanted(classes=("dog",), confidence=0.5))
    assert of_class["tables"]["detections"] == expected[0][0]
    _, dogs = write("coco", Wanted(classes=("dog",), confidence=0.5))
    assert sum(part["n_objects"] for part in dogs["datasets"] if part["kind"][0] in "dsk") == expected[0][0]


def test_a_job_takes_only_the_frames_that_it_planned(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    put_job(lake, "j_half", range(0, 40, 8), 3)
    put_part(lake, range(0, 40, 4), number=3)
    rebuild(tmp_path / "store", lake)
    for form, n_frames in (("coco", 5), ("yolo", 5)):
        written = export(Place(tmp_path / "store", tmp_path / form), Format(form), Wanted(job_id="j_half"), labels={})
        assert [part["n_images"] for part in written["datasets"]] == [n_frames]
    place = Place(tmp_path / "store", tmp_path / "csv")
    tables = export(place, Format.CSV, Wanted(job_id="j_half"), labels={})["tables"]
    assert (tables["frames"], tables["inferences"]) == (5, 5)


@pytest.mark.parametrize(("n_new", "model", "taken"), [(2, "", "d"), (6, "", "e"), (2, "e" * 32, "e")])
def test_of_two_digests_of_a_model_the_one_with_most_answers_is_taken(
    tmp_path: Path, n_new: int, model: str, taken: str
) -> None:
    lake = Lake(tmp_path / "lake")
    old = put_job(lake, "j_1", range(0, 12, 2), 5)
    put_part(lake, range(0, 12, 2), number=5)
    put_part(lake, range(0, 2 * n_new, 2), number=5, digest="e" * 32)
    lake.write_run(replace(old, job_id="j_2", models=(replace(old.models[0], model_digest="e" * 32),)))
    rebuild(tmp_path / "store", lake)
    wanted = Wanted(video_ids=(video_name(5),), model=model)
    written = export(Place(tmp_path / "store", tmp_path / "out"), Format.COCO, wanted, labels={})
    assert [part["model_digests"] for part in written["datasets"]] == [[taken * 32]]
    assert [part["n_images"] for part in written["datasets"]] == [n_new if taken == "e" else 6]


@pytest.mark.parametrize(
    ("form", "wanted", "error", "code"),
    [
        ("coco", Wanted(video_ids=("v_" + "0" * 24,)), ConfigError, "config.nothing_to_export"),
        ("csv", Wanted(video_ids=(video_name(0), "v_" + "0" * 24)), ConfigError, "config.nothing_to_export"),
        ("yolo", Wanted(model="tags"), ConfigError, "config.nothing_to_export"),
        ("parquet", Wanted(model="nobody"), ConfigError, "config.nothing_to_export"),
        ("roboflow", Wanted(model="nobody"), ConfigError, "config.nothing_to_export"),
        ("coco", Wanted(job_id="j_nobody"), JobNotFound, "job.not_found"),
        ("roboflow", Wanted(job_id="j_bad"), ConfigError, "config.nothing_to_export"),
    ],
)
def test_nothing_to_export_leaves_nothing(
    store: Path, tmp_path: Path, form: str, wanted: Wanted, error: type[FramehouseError], code: str
) -> None:
    with pytest.raises(error) as caught:
        export(Place(store, tmp_path / "out"), Format(form), wanted, labels={})
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_classes_that_differ_between_videos_are_refused() -> None:
    def named(name: str) -> Objects:
        one = np.zeros(1, np.int64)
        text = np.array([name], np.object_)
        return Objects(one, one, one, text, one.astype(np.float32), np.zeros((1, 4)))

    classes = Classes("detector/1")
    classes.add(named("cat"))
    classes.add(named("cat"))
    with pytest.raises(ConfigError) as caught:
        classes.add(named("dog"))
    assert caught.value.code == "config.classes_differ"
    assert classes.names() == ["cat"]


# ---------------------------------------------------------------- the folder


def test_a_failure_on_the_way_leaves_nothing_and_keeps_what_was_there(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(Place(store, out), Format.COCO, SURE, labels={})
    before = files(out)

    def fails(_folder: Path, _video_id: str, _frames: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(Place(store, out, force=True), Format.YOLO, SURE, labels={}, pictures=fails)
    assert files(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_an_earlier_export_is_replaced(store: Path, tmp_path: Path) -> None:
    mine = tmp_path / "holiday"
    mine.mkdir()
    export(Place(store, mine), Format.COCO, SURE, labels={})  # an empty folder is free
    with pytest.raises(ConfigError, match="an export already"):
        export(Place(store, mine), Format.CSV, SURE, labels={})
    export(Place(store, mine, force=True), Format.CSV, SURE, labels={})
    assert (mine / "videos.csv").exists()
    assert not (mine / "annotations").exists()
    (mine / "export.json").unlink()
    for target in (mine, mine / "videos.csv", tmp_path / "link"):
        if target.name == "link":
            target.symlink_to(mine)
        with pytest.raises(ConfigError) as caught:
            export(Place(store, target, force=True), Format.CSV, SURE, labels={})
        assert caught.value.code == "config.output"
    assert (mine / "videos.csv").exists()


def test_what_killed_exports_left_is_swept_when_old(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".out.a1.partial", ".out.b2.partial", ".outer.c3.partial"))
    for folder in (old, young, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    with new_folder(tmp_path / "out", force=False) as filling:
        write_manifest(filling, {})
        assert filling.parent == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, other.name, "out"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught, new_folder(tmp_path / "file" / "out", force=False):
        pass
    assert caught.value.code == "config.output"


def test_a_rename_that_fails_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with new_folder(out, force=False) as filling:
        write_manifest(filling, {"first": True})
    real = Path.rename

    def refuses(path: Path, target: Path) -> Path:
        if path.suffix == ".partial":
            raise PermissionError(13, "no")
        return real(path, target)

    monkeypatch.setattr(folder_module.Path, "rename", refuses)
    with pytest.raises(ConfigError), new_folder(out, force=True) as filling:
        write_manifest(filling, {"second": True})
    assert json.loads((out / "export.json").read_text()) == {"first": True}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_pictures_are_shared_between_data_sets_or_copied(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_one = Wanted(video_ids=(video_name(2),))
    export(Place(store, tmp_path / "a"), Format.YOLO, of_one, labels={}, pictures=blank)

    def knows_no_links(_self: Path, _target: Path) -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(Path, "hardlink_to", knows_no_links)
    export(Place(store, tmp_path / "b"), Format.YOLO, of_one, labels={}, pictures=blank)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    shutil.rmtree(tmp_path / "a" / "persons-1")
    assert len(list((tmp_path / "a" / "ocr-1" / "images").iterdir())) == 9
    assert digest_of("texts")
