"""Parts: immutable Parquet files, each with the rows of some planned instants of one chunk by one model digest.

One Parquet row per settled instant, loaded or gap; the rows of the instant are one LIST<STRUCT> column named after the
kind. So a frame without a detection is a row with an empty list, and a gap is a row with a null list and a reason.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from numpy.typing import NDArray

from framehouse.errors import ContractViolation, MisalignedParts, ResultsError
from framehouse.ids import instants_digest
from framehouse.release import release
from framehouse.results.contract import SCHEMA_VERSION, FrameRows, dtype_of
from framehouse.results.files import write_whole
from framehouse.results.kinds import KINDS

log = structlog.get_logger(__name__)

LOADED, GAP = "loaded", "gap"
LATER_SCHEMA = "results.schema_version"
"""Code of the error about a file of a later release."""
META = "framehouse."
"""Before the name of each fact in the metadata of a file."""
_LEDGER: dict[str, pa.DataType] = {
    "frame_offset": pa.int64(),
    "pts": pa.int64(),
    "time_offset_s": pa.float64(),
    "status": pa.string(),
    "gap_reason": pa.string(),
    "infer_s": pa.float32(),
}


@dataclass(frozen=True, slots=True)
class PartHeader:
    """Whose rows these are; also in the Parquet metadata. `job_id`: the job that inferred them, "" when unknown."""

    video_id: str
    chunk_id: str
    model_id: str
    model_digest: str
    kind: str
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class PartRef:
    """A written part, small enough to cross processes."""

    path: str
    n_loaded: int
    n_gaps: int
    n_bytes: int = field(default=0, compare=False)
    """Bytes that were written; 0 when the part was there."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part as read: its ledger (one entry per instant) and its rows.

    Args:
        frame_offset: int64 [K], strictly increasing.
        pts: int64 [K], ticks of the stream's time base.
        time_offset_s: float64 [K], seconds after the first frame.
        gap_reason: object [K], None where loaded.
        infer_s: float32 [K], seconds that inference took for the frame.
        rows: rows of the loaded instants.
    """

    header: PartHeader
    frame_offset: NDArray[np.int64]
    pts: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    gap_reason: NDArray[np.object_]
    infer_s: NDArray[np.float32]
    rows: FrameRows

    @property
    def loaded(self) -> NDArray[np.bool_]:
        """bool [K]."""
        return np.fromiter((reason is None for reason in self.gap_reason), np.bool_, self.gap_reason.size)

    @property
    def name(self) -> str:
        """Its file's name."""
        return part_name(self.header.chunk_id, self.frame_offset, self.loaded)


def write_part(
    parts_dir: Path,
    header: PartHeader,
    *,
    frame_offset: NDArray[np.int64],
    pts: NDArray[np.int64],
    time_offset_s: NDArray[np.float64],
    gap_reason: NDArray[np.object_],
    infer_s: NDArray[np.float32],
    rows: FrameRows,
) -> PartRef:
    """Write one part; see `Part` for the arrays.

    A name that exists is left alone: it holds the same instants in the same status by the same model.

    Raises:
        ContractViolation: arrays of different length, instants not increasing, rows of an instant that is not loaded.
        StoreError: code `store.disk_full`; nothing is left behind.
    """
    return store_part(parts_dir, Part(header, frame_offset, pts, time_offset_s, gap_reason, infer_s, rows))


def store_part(parts_dir: Path, part: Part) -> PartRef:
    """`write_part` of a part that is made already."""
    check_part(part)
    path, n_bytes = parts_dir / part.name, 0
    if not path.exists():
        content = part_content(part)
        write_whole(path, content)
        n_bytes = content.nbytes
    return part_ref(part, str(path), n_bytes)


def part_content(part: Part) -> memoryview:
    """Bytes of a checked part's file."""
    return to_parquet(_to_table(part), asdict(part.header))


def part_ref(part: Part, path: str, n_bytes: int = 0) -> PartRef:
    """A part that was written there."""
    loaded = part.loaded
    return PartRef(path, int(loaded.sum()), int((~loaded).sum()), n_bytes)


def part_name(chunk_id: str, frame_offset: NDArray[np.int64], loaded: NDArray[np.bool_]) -> str:
    """File name of the part with these instants in this status."""
    return f"{chunk_id}-{instants_digest(frame_offset, loaded)}.parquet"


def part_paths(parts_dir: Path, chunk_id: str = "") -> list[Path]:
    """Parts of a folder (of one chunk), by name; no temporary files, none set aside. A missing folder holds none."""
    prefix = f"{chunk_id}-" if chunk_id else ""
    if not parts_dir.is_dir():
        return []
    names = (p for p in parts_dir.iterdir() if p.suffix == ".parquet" and not p.name.startswith("."))
    return sorted(p for p in names if p.name.startswith(prefix))


def read_part(path: Path) -> Part:
    """Read and check a part: page checksums, metadata, name, order.

    Raises:
        MisalignedParts: damaged, or not what its name and header say. The file should be set aside.
        ResultsError: code `results.schema_version`, written by a later release.
        OSError: the disk failed; says nothing about the part.
    """
    try:
        table, facts = from_parquet(path)
    except ResultsError as error:
        if error.code == LATER_SCHEMA:
            raise
        raise MisalignedParts(error.message, path=str(path)) from error
    header = PartHeader(**{field.name: facts.get(field.name, "") for field in fields(PartHeader)})
    record = KINDS.get(header.kind)
    if record is None:
        raise MisalignedParts(f"part {path.name} has the unknown kind {header.kind!r}", path=str(path))
    try:
        part = _from_table(header, table, record)
        check_part(part)
    except (ContractViolation, KeyError, ValueError, TypeError) as error:
        raise MisalignedParts(f"part {path.name} breaks its contract: {error}", path=str(path)) from error
    if path.name != part_name(header.chunk_id, part.frame_offset, part.loaded):
        raise MisalignedParts(f"part {path.name} does not hold the instants of its name", path=str(path))
    return part


def set_aside(path: Path, error: ResultsError) -> None:
    """Take a part out of the lake by adding `.bad` to its name; its instants are then owed again."""
    log.error("part set aside", path=str(path), code=error.code, cause=error.message)
    try:
        path.replace(path.with_name(path.name + ".bad"))
    except FileNotFoundError:  # another process did it first
        return


def settled(parts_dir: Path, chunk_id: str = "") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Instants of a chunk that parts already hold: (loaded, gaps), both sorted int64; loaded beats gap.

    Without a chunk, those of the whole video.

    A part that cannot be read is set aside and holds nothing.

    Raises:
        ResultsError: code `results.schema_version`, a part of a later release.
    """
    return settled_in(lambda: part_paths(parts_dir, chunk_id), read_part, set_aside)


def settled_in(
    list_paths: Callable[[], Iterable[Path]],
    read: Callable[[Path], Part],
    aside: Callable[[Path, ResultsError], object],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`settled` of listed files, with the functions that list them, read one, and set it aside."""
    while (found := _settled_by(list_paths(), read, aside)) is None:
        log.info("parts were merged or set aside meanwhile, reading again")
    loaded, gaps = found
    held = np.unique(np.concatenate(loaded))
    return held, np.setdiff1d(np.concatenate(gaps), held)


def _settled_by(
    paths: Iterable[Path], read: Callable[[Path], Part], aside: Callable[[Path, ResultsError], object]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] | None:
    """(loaded, gaps) of each part; None when one of them is gone by now, and another may hold its instants."""
    loaded = [np.empty(0, np.int64)]
    gaps = [np.empty(0, np.int64)]
    for path in paths:
        try:
            part = read(path)
        except MisalignedParts as error:
            aside(path, error)
            continue
        except FileNotFoundError:
            return None
        loaded.append(part.frame_offset[part.loaded])
        gaps.append(part.frame_offset[~part.loaded])
    return loaded, gaps


def owed(planned: NDArray[np.int64], loaded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Planned instants that no part holds as loaded, sorted int64.

    >>> owed(np.array([0, 6, 12]), np.array([6])).tolist()
    [0, 12]
    """
    return np.setdiff1d(planned, loaded)


def check_part(part: Part) -> None:
    """Raises ContractViolation, see `write_part`."""
    n = part.frame_offset.size
    for name in ("pts", "time_offset_s", "gap_reason", "infer_s"):
        if getattr(part, name).shape != (n,):
            raise ContractViolation(f"{name} has shape {getattr(part, name).shape}, expected ({n},)")
    if n and (part.frame_offset[0] < 0 or not (np.diff(part.frame_offset) > 0).all()):
        raise ContractViolation("instants of a part are not strictly increasing")
    if part.header.kind != part.rows.kind:
        raise ContractViolation(f"header says {part.header.kind}, rows are {part.rows.kind}")
    if not np.isin(part.rows.frame_offset, part.frame_offset[part.loaded]).all():
        raise ContractViolation("rows of an instant that is not loaded")
    if "" in part.gap_reason.tolist():
        raise ContractViolation("a gap without a reason")


def _to_table(part: Part) -> pa.Table:
    loaded, kind = part.loaded, KINDS[part.header.kind]
    ledger: dict[str, Any] = {
        "frame_offset": part.frame_offset,
        "pts": part.pts,
        "time_offset_s": part.time_offset_s,
        "status": np.where(loaded, LOADED, GAP),
        "gap_reason": part.gap_reason,
        "infer_s": part.infer_s,
    }
    arrays = [pa.array(ledger[name], type=arrow_type) for name, arrow_type in _LEDGER.items()]
    columns = part.rows.columns()
    items = pa.StructArray.from_arrays(
        [_arrow_array(columns[name], type_name) for name, type_name in kind.stored.items()],
        fields=[pa.field(name, _arrow(type_name)) for name, type_name in kind.stored.items()],
    )
    ends = np.searchsorted(part.rows.frame_offset, part.frame_offset, side="right").astype(np.int32)
    offsets = pa.array(np.concatenate([np.zeros(1, np.int32), ends]))
    lists = pa.ListArray.from_arrays(offsets, items, mask=pa.array(~loaded))
    return pa.table([*arrays, lists], names=[*_LEDGER, kind.kind])


def _from_table(header: PartHeader, table: pa.Table, record: type[FrameRows]) -> Part:
    frame_offset = _numpy(table, "frame_offset")
    lists = table.column(record.kind).combine_chunks()
    status = _numpy(table, "status")
    if not np.array_equal(status == GAP, np.asarray(lists.is_null())):
        raise ContractViolation("status and rows disagree")
    items = lists.flatten()
    lengths = np.asarray(lists.value_lengths().fill_null(0))
    columns = {name: _numpy_column(items.field(name), type_name) for name, type_name in record.stored.items()}
    rows = record.from_columns(np.repeat(frame_offset, lengths), columns)
    gap_reason = _numpy(table, "gap_reason").astype(np.object_)
    part = Part(
        header, frame_offset, _numpy(table, "pts"), _numpy(table, "time_offset_s"), gap_reason,
        _numpy(table, "infer_s"), rows,
    )  # fmt: skip
    if not np.array_equal(part.loaded, status == LOADED):
        raise ContractViolation("status and gap_reason disagree")
    return part


def to_parquet(table: pa.Table, facts: Mapping[str, str]) -> memoryview:
    """Parquet bytes with `facts` in the metadata; the same table and facts give the same bytes in one release.

    Page checksums cover the data and a digest covers the facts; statistics, which nothing covers, are left out.
    """
    facts = {**facts, "schema_version": str(SCHEMA_VERSION), "release": release()}
    sink = io.BytesIO()
    options = {"compression": "zstd", "write_page_checksum": True, "write_statistics": False, "store_schema": False}
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        facts = {**facts, "check": _digest(facts)}
        writer.add_key_value_metadata({META + name: value for name, value in facts.items()})
    return sink.getbuffer()


def from_parquet(path: Path, columns: Sequence[str] | None = None) -> tuple[pa.Table, dict[str, str]]:
    """Table (only these columns of it) and facts of a file of `to_parquet`.

    Raises:
        ResultsError: code `results.unreadable`, damaged; code `results.schema_version`, of a later release.
        OSError: the disk failed, or no such file.
    """
    with path.open("rb") as file:
        return parsed_parquet(file, path, columns)


def parsed_parquet(file: BinaryIO, path: Path, columns: Sequence[str] | None = None) -> tuple[pa.Table, dict[str, str]]:
    """`from_parquet` of an open file, or of bytes. `path`: what errors call it."""
    try:
        reader = pq.ParquetFile(file, page_checksum_verification=True)
        table, metadata = reader.read(columns=columns, use_threads=False), reader.metadata.metadata or {}
    except (pa.ArrowException, OSError) as error:
        # Arrow reports damage as OSError without an errno; with one it is the disk or the file system.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _unreadable(path, (str(error) or type(error).__name__).splitlines()[0]) from error
    facts = {k.decode("utf-8", "replace").removeprefix(META): v.decode("utf-8", "replace") for k, v in metadata.items()}
    check, version = facts.pop("check", ""), facts.get("schema_version", "")
    if check != _digest(facts) or not version.isdigit():
        raise _unreadable(path, "no whole Framehouse header")
    refuse_later(int(version), path.name)
    return table, facts


def refuse_later(version: int, what: str) -> None:
    """Stop at a file of a later release.

    Raises:
        ResultsError: code `results.schema_version`.
    """
    if version > SCHEMA_VERSION:
        raise ResultsError(
            f"{what} has schema version {version}, this release reads up to {SCHEMA_VERSION}",
            code=LATER_SCHEMA,
            hint="update Framehouse",
        )


def _digest(facts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _unreadable(path: Path, reason: str) -> ResultsError:
    return ResultsError(
        f"{path.name} cannot be read: {reason}",
        code="results.unreadable",
        hint="remove it and retry its job",
        path=str(path),
    )


def _numpy(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table.column(name).to_numpy()
    return values


def _arrow(type_name: str) -> pa.DataType:
    """The Arrow type of a stored column: a plain alias, or a list of one."""
    if type_name.startswith("list<"):
        return pa.list_(pa.type_for_alias(type_name[5:-1]))
    return pa.type_for_alias(type_name)


def _arrow_array(values: NDArray[Any], type_name: str) -> pa.Array:
    """[N] as it is, [N, K] as N lists of K."""
    arrow_type = _arrow(type_name)
    if values.ndim == 1:
        return pa.array(values, type=arrow_type)
    n, k = values.shape
    ends = pa.array(np.arange(n + 1, dtype=np.int32) * k)
    return pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(values).ravel(), type=arrow_type.value_type))


def _numpy_column(values: pa.Array, type_name: str) -> NDArray[Any]:
    """The inverse: [N], or [N, K] where all lists have K items ([0, 0] without rows)."""
    dtype = dtype_of(type_name)
    if not type_name.startswith("list<"):
        return np.asarray(values).astype(dtype, copy=False)
    lengths = np.asarray(values.value_lengths())
    k = int(lengths[0]) if lengths.size else 0
    if (lengths != k).any():
        raise ContractViolation("lists of different length in one column")
    return np.asarray(values.flatten()).astype(dtype, copy=False).reshape(len(values), k)
