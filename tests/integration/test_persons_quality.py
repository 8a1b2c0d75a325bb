"""The mask of persons by the real server: against a direct run, and on pictures that one sees oneself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.errors import SourceUnavailable
from framehouse.inference.adapters import persons
from framehouse.inference.specs import ModelSpec
from framehouse.inference.triton import TritonClient
from framehouse.results.masks import decode
from framehouse.results.records.boxes import Segmentations
from framehouse.video.pictures import frame_picture
from real_parts import cache_folder, require
from stills import astronaut

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Find = Callable[..., Segmentations]


@pytest.fixture(scope="module")
def served(load_served: Callable[[str], tuple[TritonClient, ModelSpec]]) -> tuple[TritonClient, ModelSpec]:
    return load_served("persons")


@pytest.fixture(scope="module")
def ask(served: tuple[TritonClient, ModelSpec]) -> Callable[[Array], Array]:
    """The server's masks of pictures of the input size."""
    client, spec = served
    return lambda batch: client.infer(spec.triton_model, persons.to_inputs(batch), version="1")["mask"]


@pytest.fixture(scope="module")
def find(served: tuple[TritonClient, ModelSpec], ask: Callable[[Array], Array]) -> Find:
    """Rows of some pictures of one size, as a worker gets them: framed, asked, read."""
    _, spec = served

    def rows(*pictures: Array) -> Segmentations:
        masks = ask(np.stack([frame_picture(picture, spec.framing) for picture in pictures]))
        offsets = np.arange(len(pictures), dtype=np.int64)
        size = pictures[0].shape[1::-1]
        return persons.from_outputs({"mask": masks}, spec=spec, frame_offset=offsets, source_size=size)

    return rows


@pytest.fixture(scope="module")
def portrait() -> Array:
    try:
        return astronaut(cache_folder() / "stills")
    except SourceUnavailable as error:
        require("samples", error.line())


def frames(path: Path, offsets: list[int]) -> list[Array]:
    capture, found = cv2.VideoCapture(str(path)), []
    for offset in range(max(offsets) + 1):
        ok, frame = capture.read()
        assert ok, f"{path.name} has no frame {offset}"
        if offset in offsets:
            found.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    return found


def test_the_server_gives_what_a_direct_run_gives(
    served: tuple[TritonClient, ModelSpec], ask: Callable[[Array], Array], checkout: Path, portrait: Array,
    sample_videos: dict[str, Path],
) -> None:  # fmt: skip
    """The direct run gives the share as a float; the served one is that, rounded to bytes."""
    model = onnx.load(checkout / "triton_models" / "persons" / "1" / "model.onnx")
    model.graph.output.extend([onnx.helper.make_tensor_value_info("share", onnx.TensorProto.FLOAT, None)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pictures = [
        portrait,
        *frames(sample_videos["bikes.mp4"], [30, 120]),
        *frames(sample_videos["bigbuckbunny.mp4"], [60]),
    ]
    framed = np.stack([frame_picture(picture, served[1].framing) for picture in pictures])
    (share,) = session.run(["share"], {"image": framed})
    assert share.min() >= 0
    assert share.max() > 0.99
    assert abs(ask(framed) - share * 255).max() <= 0.51
    alone = np.concatenate([ask(framed[i : i + 1]) for i in range(len(framed))])
    assert np.array_equal(ask(framed), alone), "a mask depends on its neighbours"


def test_the_astronaut_is_cut_out(find: Find, portrait: Array) -> None:
    found = find(portrait)
    assert found.class_name.tolist() == ["person"]
    assert found.confidence[0] > 0.9
    inside = decode(found.mask[0], (512, 512))
    assert 0.5 < inside.mean() < 0.62
    for x, y in ((225, 60), (225, 120), (150, 400), (300, 300)):  # hair, face, sleeve, chest
        assert inside[y, x], (x, y)
    for x, y in ((20, 60), (330, 40), (480, 60), (420, 150)):  # flag, wall, wall, shuttle
        assert not inside[y, x], (x, y)
    x, y, width, height = found.xcycwh[0]
    columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    assert [x - width / 2, x + width / 2, y - height / 2, y + height / 2] == [
        columns[0], columns[-1] + 1, rows[0], rows[-1] + 1,
    ]  # fmt: skip


def test_the_man_in_the_car_in_each_frame(find: Find, sample_videos: dict[str, Path]) -> None:
    pictures = frames(sample_videos["carphone_pristine.mp4"], list(range(0, 120, 15)))
    for picture in pictures:
        found = find(picture)
        assert len(found) == 1
        assert found.confidence[0] > 0.95
        inside = decode(found.mask[0], (176, 144))
        assert 0.35 < inside.mean() < 0.55
        assert inside[130, 100], "his chest"
        assert not inside[10:40, 150:170].any(), "the window"


def test_the_street_without_anyone_near_gives_no_row(find: Find, sample_videos: dict[str, Path]) -> None:
    man, cyclist, empty = frames(sample_videos["bikes.mp4"], [30, 120, 170])
    assert [len(find(picture)) for picture in (man, cyclist, empty)] == [1, 1, 0]
    inside = decode(find(man).mask[0], (640, 272))
    assert 0.15 < inside.mean() < 0.3
    assert inside[200, 260]
    assert not inside[:, 450:].any()


def test_a_picture_of_3840_by_2160(find: Find, portrait: Array) -> None:
    found = find(cv2.resize(portrait, (3840, 2160)))
    inside = decode(found.mask[0], (3840, 2160))
    assert 0.5 < inside.mean() < 0.62
    assert found.xcycwh[0, 2] > 3000


@pytest.mark.parametrize("grey", [0, 127, 255])
def test_an_empty_picture_gives_no_row(find: Find, grey: int) -> None:
    assert len(find(np.full((240, 320, 3), grey, np.uint8))) == 0


def test_a_picture_of_one_pixel_is_no_error(find: Find) -> None:
    found = find(np.full((1, 1, 3), 128, np.uint8))
    assert len(found) <= 1
    assert found.xcycwh.tolist() == [[0.5, 0.5, 1, 1]] * len(found)
