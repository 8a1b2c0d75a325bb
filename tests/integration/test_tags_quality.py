"""Tags of whole pictures, by the real server: pictures whose names one knows, and pictures of nothing."""

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
from framehouse.inference.adapters import tags
from framehouse.inference.specs import ModelSpec
from framehouse.inference.triton import TritonClient
from framehouse.results.records.classes import Classifications
from framehouse.video.pictures import frame_picture
from real_parts import ROOT, cache_folder, require
from stills import still

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Served = tuple[TritonClient, ModelSpec]
See = Callable[[Array], Classifications]
CATS = {"tabby", "tiger cat", "Egyptian cat"}


@pytest.fixture(scope="module")
def served(load_served: Callable[[str], Served]) -> Served:
    return load_served("tags")


@pytest.fixture(scope="module")
def see(served: Served) -> See:
    """Rows of one picture, as a worker gets them: framed, asked, read."""
    client, spec = served

    def rows(picture: Array) -> Classifications:
        framed = frame_picture(picture, spec.framing)[None]
        outputs = client.infer(spec.triton_model, tags.to_inputs(framed), version=spec.triton_version)
        size = (picture.shape[1], picture.shape[0])
        return tags.from_outputs(outputs, spec=spec, frame_offset=np.array([0]), source_size=size)

    return rows


def picture_of(name: str) -> Array:
    try:
        return still(name, cache_folder() / "stills")
    except SourceUnavailable as missing:
        require("samples", missing.line())


def street(sample_videos: dict[str, Path]) -> list[Array]:
    capture, pictures = cv2.VideoCapture(str(sample_videos["bikes.mp4"])), []
    for _ in range(6):
        ok, picture = capture.read()
        assert ok
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    capture.release()
    return pictures


def test_the_server_gives_what_the_file_gives_in_any_batch(served: Served, sample_videos: dict[str, Path]) -> None:
    """To the last bit: alone, among others, from either instance, and run directly with a search of our own."""
    client, spec = served
    pictures = [picture_of("coffee.png"), picture_of("chelsea.png"), *street(sample_videos)]
    batch = np.stack([frame_picture(picture, spec.framing) for picture in pictures])
    model = onnx.load(ROOT / "triton_models" / "tags" / "1" / "model.onnx")
    model.graph.output.extend(value for value in model.graph.value_info if value.name == "logits")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    together = client.infer(spec.triton_model, {"image": batch}, version="1")
    for i, picture in enumerate(batch):
        confidences, classes, logits = session.run(None, {"image": picture[None]})
        shares = np.exp(logits[0].astype(np.float64)) / np.exp(logits[0].astype(np.float64)).sum()
        best = np.argsort(-shares, kind="stable")[:5]
        assert classes[0].tolist() == best.tolist()
        np.testing.assert_allclose(confidences[0], shares[best], rtol=1e-4)
        for _ in range(2):
            alone = client.infer(spec.triton_model, {"image": picture[None]}, version="1")
            assert alone["confidences"].tobytes() == together["confidences"][i].tobytes() == confidences.tobytes()
            assert alone["classes"].tobytes() == together["classes"][i].tobytes() == classes.tobytes()


def test_coffee_and_a_cat(see: See) -> None:
    coffee, cat = see(picture_of("coffee.png")), see(picture_of("chelsea.png"))
    assert coffee.class_name[0] == "espresso"
    assert coffee.confidence[0] > 0.9
    assert set(cat.class_name[:3]) == CATS
    assert cat.confidence[:3].sum() > 0.8
    for rows in (coffee, cat):
        assert len(rows) == 5
        assert (np.diff(rows.confidence) <= 0).all()
        assert rows.confidence.sum() <= 1 + 1e-5


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (240, 320)])
def test_nothing_is_nothing_for_sure(see: See, grey: int, size: tuple[int, int]) -> None:
    rows = see(np.full((*size, 3), grey, np.uint8))
    assert len(rows) == 5
    assert rows.confidence[0] < 0.1


def test_a_large_frame_is_the_same_picture(see: See) -> None:
    large = cv2.resize(picture_of("coffee.png"), (3840, 2560), interpolation=cv2.INTER_CUBIC)[200:2360]
    rows = see(large)
    assert rows.class_name[0] == "espresso"
    assert rows.confidence[0] > 0.8


def test_only_the_middle_counts(see: See) -> None:
    """The frame is cropped: a cup far to the side of a wide picture is not seen."""
    coffee = cv2.resize(picture_of("coffee.png"), (384, 256), interpolation=cv2.INTER_AREA)
    wide = np.full((256, 1200, 3), 128, np.uint8)
    wide[:, :384] = coffee
    assert "espresso" not in see(wide).class_name
    middle = np.full((256, 1200, 3), 128, np.uint8)
    middle[:, 408:792] = coffee
    assert see(middle).class_name[0] == "espresso"


def test_colours_are_taken_as_rgb(see: See) -> None:
    """With red and blue changed round the cup is less surely an espresso, the cat less surely a cat."""
    for name, right in (("coffee.png", {"espresso"}), ("chelsea.png", CATS)):
        plain, changed = (share(see(picture), right) for picture in (picture_of(name), picture_of(name)[:, :, ::-1]))
        assert plain > changed + 0.03


def share(rows: Classifications, names: set[str]) -> float:
    return float(sum(c for n, c in zip(rows.class_name, rows.confidence, strict=True) if n in names))


def test_the_names_are_unique_without_regard_to_case(served: Served) -> None:
    labels = served[1].labels
    assert len({label.lower() for label in labels}) == len(labels) == 1000
    assert (labels[0], labels[281], labels[967], labels[999]) == ("tench", "tabby", "espresso", "toilet tissue")
    assert all(label == label.strip() and "," not in label for label in labels)
