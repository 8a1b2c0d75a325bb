"""Text by the real server: rendered pictures read back, turned, small and huge ones, a video, a model that is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from chunk_cases import chunk_task, parts_of
from framehouse.errors import FramehouseError, SourceUnavailable
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.run import infer_chunk
from framehouse.inference.server import TritonServer
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import TritonClient
from framehouse.results.records.texts import Texts
from framehouse.video.pictures import frame_picture
from pulled import pull_into
from real_parts import require

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Read = Callable[[Array], Texts]

LINES = ("Framehouse reads text", "Platform 9 departs 10:45", "NO ENTRY", "Total price 1,234.56 EUR")
PAPER, INK = (228, 228, 220), (20, 20, 60)


@pytest.fixture(scope="module")
def served(
    added_models: Path, load_served: Callable[[str], tuple[TritonClient, ModelSpec]]
) -> Iterator[tuple[TritonClient, ModelSpec]]:
    try:
        pull_into(added_models, "ocr")
    except SourceUnavailable as error:
        require("samples", error.line())
    client, spec = load_served("ocr")
    yield client, spec
    for step in reversed(spec.steps):
        client.unload_model(step)


@pytest.fixture(scope="module")
def read(served: tuple[TritonClient, ModelSpec]) -> Read:
    """Rows of a picture, as a worker gets them: framed, asked, read."""
    client, spec = served

    def rows(picture: Array) -> Texts:
        adapter = ADAPTERS[spec.family]
        inputs = adapter.to_inputs(frame_picture(picture, spec.framing)[None])
        outputs = client.infer(spec.triton_model, inputs, version=spec.triton_version)
        size = picture.shape[1::-1]
        found = adapter.from_outputs(outputs, spec=spec, frame_offset=np.array([0], np.int64), source_size=size)
        assert isinstance(found, Texts)
        return found

    return rows


def page(lines: tuple[str, ...] = LINES, *, size: tuple[int, int] = (960, 540), type_px: int = 40) -> Array:
    """Lines under each other, from (60, 40) on, each three times as far as the type is high."""
    picture = Image.new("RGB", size, PAPER)
    font = ImageFont.load_default(type_px)
    for i, line in enumerate(lines):
        ImageDraw.Draw(picture).text((60, 40 + 3 * type_px * i), line, font=font, fill=INK)
    return np.asarray(picture)


def inked(line: str, left: float, top: float, type_px: int) -> tuple[float, float, float, float]:
    """Where a line's ink is: x1, y1, x2, y2."""
    font = ImageFont.load_default(type_px)
    return ImageDraw.Draw(Image.new("RGB", (1, 1))).textbbox((left, top), line, font=font)


@pytest.mark.parametrize("type_px", [20, 32, 40])
def test_rendered_lines_are_read_back(read: Read, type_px: int) -> None:
    rows = read(page(type_px=type_px))
    assert tuple(rows.text) == LINES
    assert rows.confidence.min() > 0.9
    for i, (line, (x, y, width, height)) in enumerate(zip(LINES, rows.xcycwh, strict=True)):
        x1, y1, x2, y2 = inked(line, 60, 40 + 3 * type_px * i, type_px)
        assert abs(x - (x1 + x2) / 2) < 0.4 * type_px
        assert abs(y - (y1 + y2) / 2) < 0.3 * type_px
        assert -0.3 * type_px < width - (x2 - x1) < type_px
        assert -0.3 * type_px < height - (y2 - y1) < type_px


@pytest.mark.parametrize(("turns", "order"), [(1, None), (2, LINES[::-1]), (3, None)])
def test_turned_pictures_are_read(read: Read, turns: int, order: tuple[str, ...] | None) -> None:
    """By quarters. The polygon begins at the text's own top left, wherever that is."""
    rows = read(np.rot90(page(), turns))
    assert sorted(rows.text) == sorted(LINES)
    if order is not None:
        assert tuple(rows.text) == order
    along = {1: (0, -1), 2: (-1, 0), 3: (0, 1)}[turns]
    for polygon in rows.polygon:
        edge = polygon[1] - polygon[0]
        assert edge / np.linalg.norm(edge) == pytest.approx(along, abs=0.05)


def test_a_slanting_line_is_read_and_its_polygon_slants(read: Read) -> None:
    picture = Image.fromarray(page((LINES[1],), size=(800, 600)))
    turned = picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, -250), fillcolor=PAPER)
    (row,) = [read(np.asarray(turned.rotate(15, Image.Resampling.BICUBIC, fillcolor=PAPER)))]
    assert row.text.tolist() == [LINES[1]]
    edge = row.polygon[0, 1] - row.polygon[0, 0]
    assert np.degrees(np.arctan2(-edge[1], edge[0])) == pytest.approx(15, abs=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (64, 48), (1280, 720)])
@pytest.mark.parametrize("grey", [0, 200])
def test_pictures_without_text_have_no_rows(read: Read, size: tuple[int, int], grey: int) -> None:
    assert len(read(np.full((size[1], size[0], 3), grey, np.uint8))) == 0


def test_a_4k_picture_is_read_in_its_own_pixels(read: Read) -> None:
    rows = read(page(LINES[:2], size=(3840, 2160), type_px=80))
    assert tuple(rows.text) == LINES[:2]
    x1, y1, x2, y2 = inked(LINES[0], 60, 40, 80)
    assert rows.xcycwh[0, :2] == pytest.approx([(x1 + x2) / 2, (y1 + y2) / 2], abs=20)


def test_lines_in_a_batch_do_not_change_each_other(served: tuple[TritonClient, ModelSpec]) -> None:
    """Of equal width, which is how the model asks; to the bit, so that batches may come when they are worth it."""
    client, _ = served
    lines = [cv2.resize(page((line,), size=(800, 120)), (320, 48)) for line in LINES]
    for step in ("ocr_rec", "ocr_cls"):
        batch = np.stack(lines)[:, :, :192] if step == "ocr_cls" else np.stack(lines)
        together = client.infer(step, {"image": np.ascontiguousarray(batch)})
        for i in range(len(lines)):
            alone = client.infer(step, {"image": np.ascontiguousarray(batch[i : i + 1])})
            assert {name: array[0].tolist() for name, array in alone.items()} == {
                name: array[i].tolist() for name, array in together.items()
            }


def test_the_same_picture_has_the_same_answer(served: tuple[TritonClient, ModelSpec]) -> None:
    """Two instances; several in flight."""
    client, spec = served
    inputs = {"image": page()[None]}
    answers = [future.result().outputs for future in [client.submit(spec.triton_model, inputs) for _ in range(4)]]
    for answer in answers[1:]:
        assert {name: array.tolist() for name, array in answer.items()} == {
            name: array.tolist() for name, array in answers[0].items()
        }


def test_colours_are_taken_as_rgb(read: Read) -> None:
    picture = page()
    assert not np.array_equal(read(picture).confidence, read(np.ascontiguousarray(picture[..., ::-1])).confidence)


CAPTIONS = tuple(f"Camera {i} street view" for i in range(1, 6))


def caption_box(i: int) -> tuple[float, float, float, float]:
    """Where frame i has its caption: x1, y1, x2, y2; it moves to the right."""
    return inked(CAPTIONS[i], 30 + 30 * i, 205, 24)


@pytest.fixture(scope="module")
def captioned(sample_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The street with a caption of its own on each of five frames, through a codec."""
    source, path = cv2.VideoCapture(str(sample_videos["bikes.mp4"])), tmp_path_factory.mktemp("media") / "captions.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (640, 272))
    for i, caption in enumerate(CAPTIONS):
        frame = Image.fromarray(cv2.cvtColor(source.read()[1], cv2.COLOR_BGR2RGB))
        x1, y1, x2, y2 = caption_box(i)
        ImageDraw.Draw(frame).rectangle((x1 - 10, y1 - 8, x2 + 10, y2 + 8), fill=(10, 10, 10))
        ImageDraw.Draw(frame).text((30 + 30 * i, 205), caption, font=ImageFont.load_default(24), fill=(250, 250, 250))
        writer.write(cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def test_captions_of_a_video_are_stored_with_their_frames(
    triton: TritonServer, served: tuple[TritonClient, ModelSpec], captioned: Path, tmp_path: Path
) -> None:
    """The whole way: decoded, framed, asked, read, written to a part and read again."""
    spec = served[1]
    target = TritonTarget(triton.url, shared_memory=True, request_timeout_s=60.0, in_flight=3)
    task = chunk_task(captioned, tmp_path / "lake", "all", models=(spec,), triton=target)
    (tally,) = infer_chunk(task).tallies
    assert (tally.n_loaded, tally.n_gaps) == (len(CAPTIONS), 0)
    (part,) = parts_of(task, spec)
    assert isinstance(part.rows, Texts)
    sure = part.rows.where(part.rows.confidence > 0.8)
    letters = [text.replace(" ", "") for text in sure.text]  # a narrow space may be missed
    assert dict(zip(sure.frame_offset.tolist(), letters, strict=True)) == {
        i: caption.replace(" ", "") for i, caption in enumerate(CAPTIONS)
    }
    for i, (x, y, _, _) in enumerate(sure.xcycwh):
        x1, y1, x2, y2 = caption_box(i)
        assert abs(x - (x1 + x2) / 2) < 5
        assert abs(y - (y1 + y2) / 2) < 5


def test_a_step_that_is_away_is_named_and_comes_back(served: tuple[TritonClient, ModelSpec], read: Read) -> None:
    client, spec = served
    client.unload_model("ocr_rec")
    try:
        with pytest.raises(FramehouseError, match="ocr_rec"):
            read(page())
    finally:
        client.ensure_loaded(spec.steps)
    assert tuple(read(page()).text) == LINES
