"""An export from the published snapshot: one folder, whole or absent. The same rows give the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.export.coco import write_coco
from framehouse.export.dataset import Dataset, Frames, find_datasets
from framehouse.export.folder import new_folder, write_manifest
from framehouse.export.jobs import write_jobs
from framehouse.export.selection import Wanted
from framehouse.export.tables import write_tables
from framehouse.export.yolo import write_yolo
from framehouse.store.connection import DEFAULT_MEMORY, reading
from framehouse.store.migrate import check_version


class Format(StrEnum):
    """Forms of an export."""

    ROBOFLOW = "roboflow"
    COCO = "coco"
    YOLO = "yolo"
    PARQUET = "parquet"
    CSV = "csv"


LABELS = frozenset({Format.COCO, Format.YOLO})
"""Formats of objects in pictures."""

Pictures = Callable[[Path, str, NDArray[np.int64]], None]
"""Writes the pictures of some frames (int64 [F]) of a video, by its id, into a folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an export goes, and where it comes from.

    Args:
        store_dir: folder of the snapshots.
        out: folder to make, absolute.
        force: an earlier export there is replaced.
        memory: DuckDB's limit, equal for all readers of this process.
    """

    store_dir: Path
    out: Path
    force: bool = False
    memory: str = DEFAULT_MEMORY


def export(
    place: Place,
    form: Format,
    wanted: Wanted,
    *,
    labels: Mapping[str, Sequence[str]],
    pictures: Pictures | None = None,
) -> dict[str, Any]:
    """Write an export; returns what `export.json` in it says.

    Args:
        labels: class names by id of the models that are known here, by model_id: for the lists of classes.
        pictures: how to make pictures for the formats of `LABELS`; None for none.

    Raises:
        ConfigError: code `config.output`, as `folder.new_folder`; `config.nothing_to_export`; `config.classes_differ`.
        JobNotFound: no such job was published.
        StoreError: as `connection.reading`; code `store.disk_full`.
        FramehouseError: what `pictures` raises.
    """
    with new_folder(place.out, force=place.force) as folder:
        with reading(place.store_dir, memory=place.memory) as connection:
            check_version(connection)
            if form in LABELS:
                frames, datasets = find_datasets(connection, wanted, labels)
                found = _write_labels(folder, connection, form, wanted, frames, datasets)
            elif form is Format.ROBOFLOW:
                found = {"jobs": write_jobs(folder, connection, wanted)}
            else:
                found = {"tables": write_tables(folder, connection, wanted, csv=form is Format.CSV)}
        if form in LABELS and pictures is not None:  # decoding takes long, and needs no database
            _write_pictures(folder, form, frames, datasets, pictures)
        asked = {**asdict(wanted), "images": pictures is not None}
        manifest = {"format": form.value, "asked": asked, **found}
        write_manifest(folder, manifest)
    return manifest


def _write_labels(
    folder: Path,
    connection: Any,
    form: Format,
    wanted: Wanted,
    frames: Sequence[Frames],
    datasets: Sequence[Dataset],
) -> dict[str, Any]:
    write = write_coco if form is Format.COCO else write_yolo
    described = [
        {
            "model_id": dataset.model_id,
            "kind": dataset.kind,
            "model_digests": sorted({use.model_digest for _, use, _ in dataset.videos}),
            "labels": f"annotations/{dataset.name}.json" if form is Format.COCO else f"{dataset.name}/data.yaml",
            "n_images": dataset.n_frames,
            "n_gaps": dataset.n_gaps,
            "n_objects": write(folder, connection, dataset, wanted),
        }
        for dataset in datasets
    ]
    return {"videos": [part.video.video_id for part in frames], "datasets": described}


def _write_pictures(
    folder: Path, form: Format, frames: Sequence[Frames], datasets: Sequence[Dataset], pictures: Pictures
) -> None:
    """Each picture once; YOLO wants its own for each data set, which are more names of the same files."""
    images = folder / "images"
    images.mkdir()
    for part in frames:
        pictures(images, part.video.video_id, part.frame_offset)
    if form is Format.COCO:
        return
    for dataset in datasets:
        own = folder / dataset.name
        for label in sorted((own / "labels").iterdir()):
            name = f"{label.stem}.jpg"
            _share(images / name, own / "images" / name)
    shutil.rmtree(images)


def _share(picture: Path, name: Path) -> None:
    """One more name of a file, or a copy where the disk knows no such thing."""
    try:
        name.hardlink_to(picture)
    except OSError:
        shutil.copyfile(picture, name)
