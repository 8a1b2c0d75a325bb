"""The search for the points in the graph against a plain numpy form of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.convert.movenet import CELL, CELLS, N_POINTS, decode

Array = NDArray[Any]
NEARNESS = np.float32(1.8)
HEADS = {"heat": N_POINTS, "centre": 1, "reach": 2 * N_POINTS, "shift": 2 * N_POINTS}


def weights() -> Array:
    """Falls from the middle to the edges, as that of the source."""
    away = np.abs(np.arange(CELLS) - CELLS / 2 + 0.5)
    return (1 / (np.hypot(away[:, None], away) + 2)).astype(np.float32)


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    builder = GraphBuilder("decode")
    builder.constant("centre_weights", weights().reshape(1, 1, CELLS, CELLS))
    builder.constant("nearness", np.array(NEARNESS))
    decode(builder, **{name: name for name in HEADS})
    inputs = [Port(name, "float32", ("batch", channels, CELLS, CELLS)) for name, channels in HEADS.items()]
    model = builder.model(inputs, [Port("keypoints", "float32", ("batch", N_POINTS, 3))], {})
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def plain(heat: Array, centre: Array, reach: Array, shift: Array) -> Array:
    """Points of one picture, [17, 3], by the definition."""
    row, column = np.unravel_index(np.argmax(sigmoid(centre[0]) * weights()), (CELLS, CELLS))
    rows, columns = np.mgrid[:CELLS, :CELLS]
    points = []
    for point in range(N_POINTS):
        expected_row, expected_column = row + reach[2 * point, row, column], column + reach[2 * point + 1, row, column]
        distance = np.hypot(rows - expected_row, columns - expected_column)
        y, x = np.unravel_index(np.argmax(sigmoid(heat[point]) / (distance + NEARNESS)), (CELLS, CELLS))
        down, right = shift[2 * point, y, x], shift[2 * point + 1, y, x]
        points.append([CELL * (x + right), CELL * (y + down), sigmoid(heat[point, y, x])])
    return np.array(points)


def noise(seed: int, n: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    spread = {"heat": 2.0, "centre": 2.0, "reach": 9.0, "shift": 0.5}
    return {
        name: random.normal(0, spread[name], (n, channels, CELLS, CELLS)).astype(np.float32)
        for name, channels in HEADS.items()
    }


def test_noise(session: onnxruntime.InferenceSession) -> None:
    heads = noise(5, 3)
    (points,) = session.run(None, heads)
    for i in range(3):
        expected = plain(*(heads[name][i] for name in HEADS))
        np.testing.assert_allclose(points[i], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 5])
def test_a_picture_does_not_see_its_neighbours(session: onnxruntime.InferenceSession, n: int) -> None:
    heads = noise(6, n)
    (together,) = session.run(None, heads)
    assert together.shape == (n, N_POINTS, 3)
    for i in range(n):
        (alone,) = session.run(None, {name: head[i : i + 1] for name, head in heads.items()})
        assert np.array_equal(alone[0], together[i])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, CELLS - 1), (CELLS - 1, 0), (17, 30)])
def test_the_point_is_where_the_person_expects_it(session: onnxruntime.InferenceSession, row: int, column: int) -> None:
    """Two equally hot cells: the one that the person's centre points at wins, with its own shift."""
    heads = {name: np.zeros((1, channels, CELLS, CELLS), np.float32) for name, channels in HEADS.items()}
    heads["heat"] -= 9
    heads["heat"][0, :, row, column] = heads["heat"][0, :, 40, 8] = 2
    heads["centre"] -= 9
    heads["centre"][0, 0, 20, 22] = 4
    heads["reach"][0, 0::2, 20, 22], heads["reach"][0, 1::2, 20, 22] = row - 20, column - 22
    heads["shift"][0, 0::2, row, column], heads["shift"][0, 1::2, row, column] = 0.25, 0.5
    (points,) = session.run(None, heads)
    expected = [CELL * (column + 0.5), CELL * (row + 0.25), sigmoid(np.array(2))]
    np.testing.assert_allclose(points[0], np.tile(expected, (N_POINTS, 1)), rtol=1e-5)


def test_of_two_persons_the_one_in_the_middle_counts(session: onnxruntime.InferenceSession) -> None:
    heads = {name: np.zeros((1, channels, CELLS, CELLS), np.float32) for name, channels in HEADS.items()}
    heads["heat"] -= 9
    heads["heat"][0, :, 3, 3] = heads["heat"][0, :, 24, 26] = 2
    heads["centre"] -= 9
    heads["centre"][0, 0, 3, 3] = heads["centre"][0, 0, 24, 26] = 1
    (points,) = session.run(None, heads)
    np.testing.assert_allclose(points[0, :, :2], np.tile([CELL * 26, CELL * 24], (N_POINTS, 1)))


def test_the_shipped_network_decodes_so(checkout: Path) -> None:
    """The heads stay readable, and what follows them in the file is what is tested here, with the source's weights."""
    model = onnx.load(checkout / "triton_models" / "keypoints" / "1" / "model.onnx")
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert constants["nearness"] == pytest.approx(1.8, abs=1e-3)
    stored = constants["centre_weights@half"].reshape(CELLS, CELLS)
    assert stored.argmax() // CELLS in (23, 24)
    assert stored[0, 0] == stored.min()
    assert {value.name for value in model.graph.value_info} == set(HEADS)
