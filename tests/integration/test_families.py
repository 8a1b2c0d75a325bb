"""Every family over real and odd videos: one decode for all gives what single runs give; nothing is silent.

To the models that ship come those that are pulled out of packages (OCR, moderation) and a classifier of one's own whose
labels are judged each for itself: then there is a model for every kind of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from exports_in_hand import EXPORTS
from framehouse.config import ROOT
from framehouse.errors import SourceUnavailable
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.exports.add import add_model
from framehouse.inference.removal import plan_removal
from framehouse.inference.removal import remove as remove_model
from framehouse.inference.repository import load_specs
from framehouse.inference.run import ChunkReceipt, ChunkTask, infer_chunk
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import TritonClient
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.parts import part_paths, read_part
from framehouse.video.probe import probe
from framehouse.video.sampling import InferFps, chunks, frames_of_chunk, plan_frames
from pulled import pull_into
from real_parts import require

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

SHIPPED = load_specs([ROOT / "triton_models"])
each_model = pytest.mark.parametrize("model_id", sorted(SHIPPED))
LoadServed = Callable[[str], tuple[TritonClient, ModelSpec]]
Specs = dict[str, ModelSpec]
OWN = "own-labels"


@pytest.fixture(scope="module")
def families(load_served: LoadServed, added_models: Path) -> Iterator[Specs]:
    """Every model that ships, and one for each kind of rows that none of them gives; by model_id."""
    roots = [ROOT / "triton_models", added_models]
    try:
        pull_into(added_models, "ocr")
        pull_into(added_models, "moderation")
    except SourceUnavailable as error:
        require("samples", error.line())
    add_model(EXPORTS / "classifier-sigmoid.onnx", roots=roots, added_dir=added_models, name=OWN)
    more = [load_served(name)[1] for name in ("ocr", "moderation", OWN)]
    yield {**SHIPPED, **{spec.model_id: spec for spec in more}}
    client, own = load_served(OWN)
    remove_model(plan_removal(own.model_id, roots))
    for spec in more:
        for step in reversed(spec.steps):
            client.unload_model(step)


def infer(video: Path, lake: Path, load_served: LoadServed, specs: Sequence[ModelSpec], fps: InferFps) -> ChunkReceipt:
    """The first chunk of a video by some models."""
    client, _ = load_served(specs[0].model_id)
    index = probe(video)
    chunk = chunks(index)[0]
    task = ChunkTask(
        job_id="j", video_id="v", path=str(video), stream=index.stream, chunk=chunk,
        planned=frames_of_chunk(plan_frames(index, fps), chunk), first_pts=int(index.pts[0]),
        models=tuple(specs), lake_root=str(lake),
        triton=TritonTarget(client_url(client), True, 60.0, 2),
    )  # fmt: skip
    return infer_chunk(task)


def client_url(client: TritonClient) -> str:
    return client._target.url


def rows_of(lake: Path, spec: ModelSpec) -> dict[str, Any]:
    """Every row of a model as lists, by column."""
    parts = [read_part(path) for path in part_paths(Lake(lake).parts_dir("v", spec.digest))]
    rows = KINDS[spec.kind].concat([part.rows for part in parts])
    return {"frame_offset": rows.frame_offset.tolist(), **{n: v.tolist() for n, v in rows.columns().items()}}


def write_video(path: Path, pictures: list[np.ndarray], codec: str = "ffv1") -> Path:
    """A lossless video of these pictures."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=5)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))
    return path


def test_every_kind_of_rows_has_a_model_here(families: Specs) -> None:
    assert set(KINDS) - {spec.kind for spec in SHIPPED.values()} == {"multilabels", "texts"}
    assert set(KINDS) == {spec.kind for spec in families.values()}


@pytest.mark.parametrize("name", ["carphone_pristine.mp4", "bikes.mp4"])
def test_a_joint_run_gives_what_single_runs_give(
    sample_videos: dict[str, Path], load_served: LoadServed, families: Specs, tmp_path: Path, name: str
) -> None:
    specs = [families[model_id] for model_id in sorted(families)]
    joint = infer(sample_videos[name], tmp_path / "joint", load_served, specs, Fraction(1))
    n_planned = joint.tallies[0].n_loaded
    assert n_planned >= 2
    assert [tally.n_loaded for tally in joint.tallies] == [n_planned] * len(specs)
    assert joint.n_decoded == n_planned, "each frame is decoded once for all models"
    for spec in specs:
        infer(sample_videos[name], tmp_path / "single", load_served, [spec], Fraction(1))
        assert rows_of(tmp_path / "joint", spec) == rows_of(tmp_path / "single", spec), spec.model_id


ODD: dict[str, Callable[[], list[np.ndarray]]] = {
    "one pixel": lambda: [np.full((1, 1, 3), grey, np.uint8) for grey in (0, 128, 255)],
    "one row": lambda: [np.arange(300, dtype=np.uint8).repeat(3).reshape(1, 300, 3)],
    "odd sides": lambda: [np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)],
    "4K": lambda: [np.full((2160, 3840, 3), 90, np.uint8)],
    "empty scene": lambda: [np.full((240, 320, 3), grey, np.uint8) for grey in (0, 127, 255)],
}


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_pictures_are_inferred_or_explained(
    load_served: LoadServed, families: Specs, tmp_path: Path, name: str
) -> None:
    video = write_video(tmp_path / "odd.mkv", ODD[name]())
    specs = [families[model_id] for model_id in sorted(families)]
    receipt = infer(video, tmp_path / "lake", load_served, specs, "all")
    for tally in receipt.tallies:
        assert (tally.n_loaded, tally.gap_reasons) == (len(ODD[name]()), ()), tally.model_id
    for spec in specs:
        rows = rows_of(tmp_path / "lake", spec)
        if spec.kind in ("embeddings", "classifications"):
            assert set(rows["frame_offset"]) == set(range(len(ODD[name]())))
        if name == "empty scene" and spec.slug in ("gaze", "faces", "ocr", "moderation"):
            assert rows["frame_offset"] == [], f"{spec.model_id} saw something on plain grey"


@each_model
def test_a_model_is_ready_to_be_asked(load_served: LoadServed, model_id: str) -> None:
    client, spec = load_served(model_id)
    width, height = spec.framing.picture_size((640, 480))
    adapter = ADAPTERS[spec.family]
    picture = np.random.default_rng(1).integers(0, 256, (1, height, width, 3), np.uint8)
    once, again = (
        client.infer(spec.triton_model, adapter.to_inputs(picture), version=spec.triton_version) for _ in range(2)
    )
    assert {name: tensor.tolist() for name, tensor in once.items()} == {name: t.tolist() for name, t in again.items()}
