"""The served detector against a direct run of its network with a decode and suppression of our own, on real frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from tritonclient import grpc

from framehouse.inference.server import TritonServer

pytestmark = pytest.mark.real("triton")

Array = NDArray[Any]
Rows = list[tuple[int, float, Array]]
"""(class, score, x1 y1 x2 y2 in input pixels) by falling score."""

SIDE, CELLS, FLOOR, IOU = 512, 128, 0.1, 0.5
FRAMES = {"bikes.mp4": (0, 60, 120, 140, 160, 249), "carphone_pristine.mp4": (0, 60, 119), "bigbuckbunny.mp4": (0, 90)}


@pytest.fixture(scope="module")
def pictures(sample_videos: dict[str, Path]) -> dict[str, Array]:
    """uint8 [N, 512, 512, 3] RGB of some frames of each video."""
    return {name: np.stack([read(sample_videos[name], offset) for offset in FRAMES[name]]) for name in FRAMES}


def read(path: Path, offset: int) -> Array:
    capture = cv2.VideoCapture(str(path))
    for _ in range(offset + 1):
        ok, frame = capture.read()
        assert ok, f"{path.name} has no frame {offset}"
    capture.release()
    return cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def client(triton: TritonServer) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(triton.url) as client:
        yield client


@pytest.fixture(scope="module")
def network(checkout: Path) -> onnxruntime.InferenceSession:
    """The shipped network with its two heads as outputs, instead of its own search for candidates."""
    model = onnx.load(checkout / "triton_models" / "detector_network" / "1" / "model.onnx")
    heads = [value for value in model.graph.value_info if value.name in ("logits", "distances")]
    model.graph.output.extend(heads)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def served(client: grpc.InferenceServerClient, batch: Array) -> dict[str, Array]:
    image = grpc.InferInput("image", list(batch.shape), "UINT8")
    image.set_data_from_numpy(batch)
    answer = client.infer("detector", [image], model_version="1", client_timeout=60)
    return {name: answer.as_numpy(name) for name in ("boxes", "scores", "classes", "count")}


def rows_of(answer: dict[str, Array], i: int) -> Rows:
    n = int(answer["count"][i, 0])
    assert not answer["boxes"][i, n:].any()
    assert not answer["scores"][i, n:].any()
    return [(int(answer["classes"][i, j]), float(answer["scores"][i, j]), answer["boxes"][i, j]) for j in range(n)]


def direct(network: onnxruntime.InferenceSession, picture: Array) -> Rows:
    logits, distances = (
        head[0].astype(np.float64) for head in network.run(["logits", "distances"], {"image": picture[None]})
    )
    heat = 1 / (1 + np.exp(-logits))
    padded = np.pad(heat, [(0, 0), (1, 1), (1, 1)])
    around = np.max([padded[:, i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3)], axis=0)
    rows: Rows = []
    for kind, row, column in zip(*np.nonzero((heat == around) & (heat >= FLOOR)), strict=True):
        left, top, right, bottom = distances[:, row, column]
        x, y = column * 4, row * 4
        rows.append((int(kind), float(heat[kind, row, column]), np.array([x - left, y - top, x + right, y + bottom])))
    kept: Rows = []
    for candidate in sorted(rows, key=lambda row: -row[1])[:100]:
        if all(candidate[0] != other[0] or overlap(candidate[2], other[2]) <= IOU for other in kept):
            kept.append(candidate)
    return [(kind, score, np.clip(box, 0, SIDE)) for kind, score, box in kept]


def overlap(a: Array, b: Array) -> float:
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = max(width, 0) * max(height, 0)
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


@pytest.mark.parametrize("name", FRAMES)
def test_same_boxes_to_a_pixel(
    client: grpc.InferenceServerClient, network: onnxruntime.InferenceSession, pictures: dict[str, Array], name: str
) -> None:
    n_boxes = 0
    for picture in pictures[name]:
        found, expected = rows_of(served(client, picture[None]), 0), direct(network, picture)
        assert [row[0] for row in found] == [row[0] for row in expected]
        for (_, score, box), (_, score_expected, box_expected) in zip(found, expected, strict=True):
            assert score == pytest.approx(score_expected, abs=1e-4)
            assert np.abs(box - box_expected).max() < 1
        n_boxes += len(found)
    assert n_boxes >= len(pictures[name])  # a comparison of nothing with nothing would prove nothing


def test_it_sees_what_is_there(
    client: grpc.InferenceServerClient, pictures: dict[str, Array], triton_labels: list[str]
) -> None:
    def seen(name: str) -> set[str]:
        answer = served(client, pictures[name])
        rows = [row for i in range(len(pictures[name])) for row in rows_of(answer, i)]
        return {triton_labels[kind] for kind, score, _ in rows if score >= 0.4}

    assert {"person", "car"} <= seen("bikes.mp4")
    assert seen("carphone_pristine.mp4") == {"person"}


@pytest.fixture(scope="module")
def triton_labels(checkout: Path) -> list[str]:
    return (checkout / "triton_models" / "detector" / "labels.txt").read_text().splitlines()


def test_colours_are_taken_as_rgb(client: grpc.InferenceServerClient, pictures: dict[str, Array]) -> None:
    """Turning red and blue round changes the numbers: the order of the channels is not lost on the way."""
    right, turned = (
        served(client, pictures["bikes.mp4"][:1]),
        served(client, pictures["bikes.mp4"][:1, :, :, ::-1].copy()),
    )
    assert not np.array_equal(right["scores"], turned["scores"])


def test_the_same_request_has_the_same_bytes_in_any_batch(
    client: grpc.InferenceServerClient, pictures: dict[str, Array]
) -> None:
    batch = np.concatenate([*pictures.values()])[:8]
    together = served(client, batch)
    for i, picture in enumerate(batch):
        for _ in range(2):  # two instances: both give the same
            alone = served(client, picture[None])
            for name, array in alone.items():
                assert array[0].tobytes() == together[name][i].tobytes()


def test_an_empty_picture_has_no_objects(client: grpc.InferenceServerClient) -> None:
    for value in (0, 128, 255):
        answer = served(client, np.full((1, SIDE, SIDE, 3), value, np.uint8))
        assert all(score < 0.4 for _, score, _ in rows_of(answer, 0))
