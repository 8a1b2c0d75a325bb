"""Moderation by the real server: one class of faces, boxes where they belong, nothing on grey, licence first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from framehouse.errors import ConfigError, SourceUnavailable
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
from framehouse.inference.specs import ModelSpec
from framehouse.inference.triton import TritonClient
from framehouse.results.records.boxes import Detections
from framehouse.video.pictures import frame_picture
from pulled import fetched, pull_into
from real_parts import ROOT, cache_folder, require
from stills import astronaut

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Look = Callable[[Array], Detections]


@pytest.fixture(scope="module")
def mirror() -> str:
    try:
        return str(fetched("moderation"))
    except SourceUnavailable as error:
        require("samples", error.line())


@pytest.fixture(scope="module")
def served(
    mirror: str, added_models: Path, load_served: Callable[[str], tuple[TritonClient, ModelSpec]]
) -> Iterator[tuple[TritonClient, ModelSpec]]:
    pull_into(added_models, "moderation")
    client, spec = load_served("moderation")
    yield client, spec
    for step in reversed(spec.steps):
        client.unload_model(step)


@pytest.fixture(scope="module")
def look(served: tuple[TritonClient, ModelSpec]) -> Look:
    """Rows of a picture, as a worker gets them: framed, asked, read."""
    client, spec = served

    def rows(picture: Array) -> Detections:
        adapter = ADAPTERS[spec.family]
        inputs = adapter.to_inputs(frame_picture(picture, spec.framing)[None])
        outputs = client.infer(spec.triton_model, inputs, version=spec.triton_version)
        size = picture.shape[1::-1]
        found = adapter.from_outputs(outputs, spec=spec, frame_offset=np.array([0], np.int64), source_size=size)
        assert isinstance(found, Detections)
        return found

    return rows


@pytest.fixture(scope="module")
def portrait() -> Array:
    try:
        return astronaut(cache_folder() / "stills")
    except SourceUnavailable as error:
        require("samples", error.line())


def test_a_portrait_has_one_face_where_it_is(look: Look, portrait: Array) -> None:
    rows = look(portrait)
    assert rows.class_name.tolist() == ["FACE"]
    assert rows.confidence[0] == pytest.approx(0.81, abs=0.03)
    assert rows.xcycwh[0] == pytest.approx([223.5, 131.5, 101, 97], abs=4)


def test_a_wide_picture_keeps_its_aspect(look: Look, portrait: Array) -> None:
    """The portrait at the right of a picture of 3 to 1: the same face, at its place there."""
    wide = np.zeros((512, 1536, 3), np.uint8)
    wide[:, 1024:] = portrait
    rows = look(wide)
    face = rows.where(rows.class_name == "FACE")
    assert len(face) == 1
    assert face.xcycwh[0] == pytest.approx([1024 + 223.5, 131.5, 101, 97], abs=14)


def test_a_man_is_a_face_too(look: Look, sample_videos: dict[str, Path]) -> None:
    frame = cv2.VideoCapture(str(sample_videos["carphone_pristine.mp4"])).read()[1]
    rows = look(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    assert rows.class_name.tolist() == ["FACE"]
    assert rows.confidence[0] > 0.7


@pytest.mark.parametrize("size", [(1, 1), (320, 320), (3840, 2160)])
def test_grey_shows_nothing(look: Look, size: tuple[int, int]) -> None:
    assert len(look(np.full((size[1], size[0], 3), 128, np.uint8))) == 0


def test_colours_are_taken_as_rgb(look: Look, portrait: Array) -> None:
    """Red and blue turned round: 0.72, as the package itself answers for pictures that OpenCV read."""
    turned = look(np.ascontiguousarray(portrait[..., ::-1]))
    assert turned.confidence[0] == pytest.approx(0.72, abs=0.03)


def test_the_same_picture_has_the_same_bytes_in_any_batch(
    served: tuple[TritonClient, ModelSpec], portrait: Array
) -> None:
    client, spec = served
    picture = frame_picture(portrait, spec.framing)
    noise = np.random.default_rng(0).integers(0, 256, (7, *picture.shape), np.uint8)
    alone = client.infer(spec.triton_model, {"image": picture[None]})
    together = client.infer(spec.triton_model, {"image": np.concatenate([noise, picture[None]])})
    assert alone["count"][0, 0] >= 1
    for name, array in alone.items():
        assert array[0].tobytes() == together[name][-1].tobytes()


def test_nothing_is_installed_before_the_licence_is_accepted(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"AGPL-3\.0") as caught:
        pull("moderation", [ROOT / "triton_models", tmp_path / "models"], PullSource(mirror=mirror))
    assert caught.value.code == "models.licence"
    assert not list(tmp_path.rglob("*.onnx"))
