"""`framehouse models add`: a model trained elsewhere becomes a folder of the model repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from framehouse.errors import ConfigError
from framehouse.inference.cards import CARD_NAME, read_card
from framehouse.inference.exports.folder import (
    MOST_IN_A_BATCH,
    Facts,
    Words,
    card_toml,
    config_pbtxt,
    gaze_card,
    labels_txt,
    readme,
)  # fmt: skip
from framehouse.inference.exports.gaze import fold_gaze, gaze_files
from framehouse.inference.exports.plan import Plan, Result, Sight, Values, Wishes
from framehouse.inference.exports.recognise import FAMILIES, recognise, unknown_family
from framehouse.inference.exports.source import Export, ImageInput, image_input, read_export
from framehouse.inference.exports.trial import Fill, Output, Run, try_model
from framehouse.inference.exports.wrap import IMAGE, wrap
from framehouse.inference.model_config import CONFIG_NAME, find_folders
from framehouse.inference.origins import ORIGIN_NAME, Origin, now, version_files, write_origin
from framehouse.inference.profiles import write_profiles
from framehouse.results.files import flush_folder, make_folder, write_whole
from framehouse.video.framing import Size

log = structlog.get_logger(__name__)

SLUG = re.compile(r"[a-z][a-z0-9-]{0,40}")
MOST_VERSIONS = 9999
STAGING = ".adding-"
"""Beginning of the folders in which models are put together; no model's name begins so."""
_GAZE = "gaze"
_SCORE_SLACK = 1e-3
_DTYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 9: "bool", 10: "float16"}
_COPYLEFT = "AGPL"


@dataclass(frozen=True, slots=True)
class Added:
    """What came of a file."""

    model_id: str
    triton_models: tuple[str, ...]
    """Names of the folders, steps first; the last one is what people ask for."""
    folder: Path
    """Of the last one."""
    layout: str
    seen_in: str
    kind: str
    input_size: Size
    n_classes: int
    ms: float
    """One picture, one thread; 0 for a model that was here already."""
    warnings: tuple[str, ...]
    already: bool = False
    """The same model, made of the same file, was here."""


@dataclass(frozen=True, slots=True)
class _Made:
    """Files by path inside the repository, the folder with the card last."""

    folders: tuple[str, ...]
    files: Mapping[str, bytes]
    layout: str
    seen_in: str
    kind: str
    input_size: Size
    n_classes: int
    ms: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    slug: str
    version: int

    @property
    def model_id(self) -> str:
        return f"{self.slug}/{self.version}"

    @property
    def folder(self) -> str:
        return self.slug if self.version == 1 else f"{self.slug}.v{self.version}"


def add_model(
    path: Path,
    *,
    roots: Sequence[Path],
    added_dir: Path,
    name: str = "",
    version: int | None = None,
    family: str = "",
    labels: Sequence[str] = (),
    size: Size | None = None,
    values: Values | Literal[""] = "",
    colour: Literal["", "rgb", "bgr"] = "",
    vertical_first: bool = False,
    words: Words | None = None,
    max_bytes: int = 2 * 1024**3,
    timeout_s: float = 120.0,
) -> Added:
    """Judge, recognise, wrap and try a file, then put it into a repository: whole, or not at all.

    Args:
        path: the ONNX file; it is read, not kept.
        roots: every model repository, the shipped one first: their names are taken.
        added_dir: the repository that it goes into; made when missing.
        name: slug; empty takes it from the file's name.
        version: None is 1.
        family: key of `recognise.FAMILIES`, or `gaze`; empty finds out.
        labels: class names by class id, or the name of a known list alone (`coco`).
        size: (width, height), for a file that takes any.
        values: what the network's pixels are; empty takes the family's usual.
        colour: order of its channels; empty takes the family's usual.
        vertical_first: `gaze` only: the network gives the vertical angle first.
        words: for the card.
        max_bytes: larger files are refused.
        timeout_s: for each run in the separate process.

    Raises:
        ConfigError: a code beginning with `models.`, and what to try; nothing is left behind.
    """
    place = _place(path, name, version)
    wishes = Wishes(family, tuple(labels), size, values, colour)
    if family and family != _GAZE and family not in FAMILIES:
        raise unknown_family(family)
    export = read_export(path, max_bytes=max_bytes)
    _refuse_taken(place, roots, added_dir, asked=version is not None)
    make_folder(added_dir)
    with _staging(added_dir) as stage:
        if family == _GAZE:
            made = _gaze(export, place, stage, words or Words(), timeout_s, vertical_first=vertical_first)
        else:
            made = _wrapped(export, place, stage, wishes, words or Words(), timeout_s)
        already = _install(made, place, stage, added_dir)
    log.info("model added", model=place.model_id, family=made.layout, seen_in=made.seen_in, already=already)
    return Added(
        place.model_id, made.folders, added_dir / place.folder, made.layout, made.seen_in, made.kind, made.input_size,
        made.n_classes, made.ms, made.warnings, already,
    )  # fmt: skip


# ---------------------------------------------------------------- names


def slug_of(path: Path) -> str:
    """A slug out of a file's name.

    >>> slug_of(Path("YOLOv8n_best (2).onnx"))
    'yolov8n-best-2'
    """
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:41].rstrip("-")


def _place(path: Path, name: str, version: int | None) -> _Place:
    slug, number = name or slug_of(path), 1 if version is None else version
    if not SLUG.fullmatch(slug):
        raise ConfigError(
            f"{slug[:60]!r} cannot be a model's name: a lower-case letter, then up to 40 of a-z, 0-9 and -",
            code="models.name",
            hint="give one: --name my-model",
        )
    if not 1 <= number <= MOST_VERSIONS:
        raise ConfigError(f"{number} cannot be a version: 1 to {MOST_VERSIONS}", code="models.name")
    return _Place(slug, number)


def _refuse_taken(place: _Place, roots: Sequence[Path], added_dir: Path, *, asked: bool) -> None:
    """Names of the other repositories: no folder twice, and no version beside a shipped model without being asked.

    Raises:
        ConfigError: code `models.reserved`.
    """
    others = find_folders([root for root in roots if root.absolute() != added_dir.absolute()])
    offered = [
        (card.slug, version.version)
        for folder in others.values()
        if (folder / CARD_NAME).is_file()
        for card in [read_card(folder / CARD_NAME)]
        for version in card.versions
    ]
    slugs = {slug for slug, _ in offered}
    free = place.folder not in others and (place.slug, str(place.version)) not in offered
    if free and (asked or place.slug not in slugs) and place.slug not in set(others) - slugs:
        return
    taken = {int(version) for slug, version in offered if slug == place.slug and version.isdigit()}
    hint = f"take another --name, or --version {max(taken) + 1}" if taken else "take another --name"
    raise ConfigError(f"{place.slug} is a model of another repository", code="models.reserved", hint=hint)


# ---------------------------------------------------------------- making


def _wrapped(export: Export, place: _Place, stage: Path, wishes: Wishes, words: Words, timeout_s: float) -> _Made:
    """Every family but gaze: one folder."""
    image = image_input(export, wishes.size)
    sight = _look(export, image, wishes, timeout_s)
    plan = recognise(sight)
    data, results = wrap(export, image, plan)
    model = stage / "trial.onnx"
    model.write_bytes(data)
    runs = try_model(export.path.name, model, [_pictures(image, 1, "noise"), _pictures(image, 1, "zeros")],
                     timeout_s=timeout_s)  # fmt: skip
    _judge(export.path.name, plan, results, runs)
    batches = image.free_batch and _same_in_a_batch(export.path.name, model, image, runs[0], timeout_s)
    folder, ms = place.folder, min(run.ms for run in runs)
    facts = Facts(
        place.slug, place.version, folder, export, words, f"{folder}/1/model.onnx", _sha256(data), len(data), ms
    )
    warnings = (*plan.notes, *_licence_warning(facts))
    if plan.adapter == "tags" and plan.seen_in != "metadata" and not wishes.values:
        warnings = (*warnings, f"pixels are taken as {plan.pixels}; say otherwise with --pixels")
    config = config_pbtxt(folder, plan, results, image.size,
                          max_batch_size=MOST_IN_A_BATCH if batches else 1, n_bytes=len(data))  # fmt: skip
    texts = {
        CONFIG_NAME: config,
        CARD_NAME: card_toml(facts, plan, results, image.size, _observed(sight.outputs)),
        "labels.txt": labels_txt(plan.labels),
        "README.md": readme(facts, plan.layout, warnings),
    }
    files = {f"{folder}/{name}": text.encode() for name, text in texts.items()}
    return _Made((folder,), {f"{folder}/1/model.onnx": data, **files}, plan.layout, plan.seen_in, plan.kind, image.size,
                 len(plan.labels), ms, warnings)  # fmt: skip


def _gaze(export: Export, place: _Place, stage: Path, words: Words, timeout_s: float, *, vertical_first: bool) -> _Made:
    """A gaze network and the model that asks it for each face: two folders."""
    network = f"{place.folder}_network"
    folded = fold_gaze(export.model, vertical_first=vertical_first)
    files = gaze_files(folded, folder=place.folder, network=network)
    data = files[f"{network}/1/model.onnx"]
    model = stage / "trial.onnx"
    model.write_bytes(data)
    rows, side = (dim.dim_value for dim in folded.graph.input[0].type.tensor_type.shape.dim[:2])
    noise: Fill = ("uint8", [rows or 1, side, side, 3], "noise")
    (run,) = try_model(export.path.name, model, [{IMAGE: noise}], timeout_s=timeout_s)
    if not run.outputs["angles"].finite:
        raise _strange(export.path.name, "angles that are not finite numbers")
    weights = f"{network}/1/model.onnx"
    facts = Facts(place.slug, place.version, place.folder, export, words, weights, _sha256(data), len(data), run.ms)
    warnings = _licence_warning(facts)
    texts = {CARD_NAME: gaze_card(facts, _observed(run.outputs.values())), "README.md": readme(facts, _GAZE, warnings)}
    written = {f"{place.folder}/{name}": text.encode() for name, text in texts.items()}
    return _Made((network, place.folder), {**files, **written}, _GAZE, "choice", "gazes", (side, side), 0, run.ms,
                 warnings)  # fmt: skip


def _look(export: Export, image: ImageInput, wishes: Wishes, timeout_s: float) -> Sight:
    """Run the untouched file once: shapes that it only states may be wrong, or free."""
    (run,) = try_model(export.path.name, export.path, [feeds_of(export, image)], timeout_s=timeout_s)
    return Sight(export, image, per_picture(run), wishes)


def feeds_of(export: Export, image: ImageInput) -> dict[str, Fill]:
    """One picture of noise for the untouched file, and what else it takes.

    Raises:
        ConfigError: code `models.input`: another input has a form that nobody knows.
    """
    width, height = image.size
    dims = [1, height, width, 3] if image.channels_last else [1, 3, height, width]
    feeds: dict[str, Fill] = {image.port.name: (_DTYPES[image.port.dtype], dims, "noise")}
    for port in image.others:
        is_size = port.name == "orig_target_sizes"
        if len(port.dims) != (2 if is_size else 3) or port.dtype not in _DTYPES:
            raise ConfigError(f"{export.path.name}: its input {port.name} is of another form", code="models.input")
        sides = [2] if is_size else [dim or side for dim, side in zip(port.dims[1:], (height, width), strict=True)]
        feeds[port.name] = (_DTYPES[port.dtype], [1, *sides], [width, height] if is_size else "ones")
    return feeds


def per_picture(run: Run) -> tuple[Output, ...]:
    """The outputs of a run of one picture that have something for each picture."""
    return tuple(found for found in run.outputs.values() if found.dims[:1] == (1,) and len(found.dims) > 1)


def _observed(outputs: Iterable[Output]) -> list[str]:
    """Outputs for the card: `output0 float32 [1, 84, 2100]`."""
    return [f"{found.name} {found.dtype} {list(found.dims)}" for found in outputs]


def _pictures(image: ImageInput, count: int, content: str) -> dict[str, Fill]:
    width, height = image.size
    return {IMAGE: ("uint8", [count, height, width, 3], content)}


def _same_in_a_batch(name: str, model: Path, image: ImageInput, alone: Run, timeout_s: float) -> bool:
    """Whether a picture has the same answer, to the last bit, among others."""
    try:
        (three,) = try_model(name, model, [_pictures(image, 3, "noise")], timeout_s=timeout_s)
    except ConfigError as error:
        log.info("model takes one picture at a time", model=name, cause=error.message)
        return False
    return all(three.outputs[key].pictures[:1] == found.pictures for key, found in alone.outputs.items())


def _judge(name: str, plan: Plan, results: Mapping[str, Result], runs: Sequence[Run]) -> None:
    """Refuse answers that cannot be what the family gives.

    Raises:
        ConfigError: code `models.answers`.
    """
    for run in runs:
        for key, expected in results.items():
            found = run.outputs[key]
            if found.inner != expected.dims:
                raise _strange(name, f"{key} of {list(found.inner)} instead of {list(expected.dims)}")
            if not found.finite:
                raise _strange(name, f"{key} that are not finite numbers")
        low, high, last_class = _scores(run.outputs)
        if low < -_SCORE_SLACK or high > 1 + _SCORE_SLACK:
            raise _strange(name, f"scores from {low:.3g} to {high:.3g}, not in 0..1: is it a {plan.layout}?")
        if not 0 <= last_class < len(plan.labels):
            raise _strange(name, f"class {last_class:.0f} of {len(plan.labels)}")


def _scores(outputs: Mapping[str, Output]) -> tuple[float, float, float]:
    """Lowest and highest score, highest class."""
    if "candidates" in outputs:
        (low, high), (_, last_class) = outputs["candidates"].columns[4:6]
        return low, high, last_class
    return outputs["confidences"].low, outputs["confidences"].high, outputs["classes"].high


def _strange(name: str, what: str) -> ConfigError:
    return ConfigError(
        f"{name} gives {what}", code="models.answers", hint="say which family it is: --family, or export it again"
    )


def _licence_warning(facts: Facts) -> tuple[str, ...]:
    if _COPYLEFT not in facts.licence.upper():
        return ()
    return (f"its licence is {facts.licence}: who serves it over a network owes its source to the users",)


# ---------------------------------------------------------------- putting it there


@contextmanager
def _staging(added_dir: Path) -> Iterator[Path]:
    """A folder on the repository's own disk that is gone afterwards, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=added_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(made: _Made, place: _Place, stage: Path, added_dir: Path) -> bool:
    """Rename the finished folders into the repository, the one with the card last. True when they were there already.

    Raises:
        ConfigError: code `models.exists`, another model has the name.
    """
    built = stage / "models"
    for name, content in made.files.items():
        write_whole(built / name, content)
    for folder in made.folders:
        write_profiles(built / folder)
        write_origin(built / folder, Origin("added", at=now(), files=version_files(built / folder)))
    with _one_at_a_time(added_dir):
        if (added_dir / place.folder).exists():
            return _is_the_same(made, place, built, added_dir)
        for folder in made.folders:
            if (added_dir / folder).exists():  # of an add that was killed between two renames
                shutil.rmtree(added_dir / folder)
            (built / folder).rename(added_dir / folder)
        flush_folder(added_dir)
    return False


def _is_the_same(made: _Made, place: _Place, built: Path, added_dir: Path) -> bool:
    """True when what is there is what would have been put there; what people may change by hand does not count."""
    told = (CARD_NAME, "README.md", ORIGIN_NAME)
    names = [name for name in made.files if Path(name).name not in told]
    if all((added_dir / name).is_file() and (added_dir / name).read_bytes() == made.files[name] for name in names):
        return True
    taken = [
        place.version,
        *(int(path.suffix[2:]) for path in added_dir.glob(f"{place.slug}.v*") if path.suffix[2:].isdigit()),
    ]
    raise ConfigError(
        f"{place.model_id} is here already, and another model",
        code="models.exists",
        hint=f"add it as --version {max(taken) + 1}, or first: framehouse models remove {place.model_id}",
    )


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """A lock on a folder; any death frees it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
