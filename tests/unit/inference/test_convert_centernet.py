"""The search for candidates in the graph against a plain numpy form of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.inference.convert.centernet import CELL, CELLS, N_CANDIDATES, N_CLASSES, decode
from framehouse.inference.convert.graph import GraphBuilder, Port

Array = NDArray[Any]


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    builder = GraphBuilder("decode")
    decode(builder, "logits", "distances")
    inputs = [
        Port("logits", "float32", ("batch", N_CLASSES, CELLS, CELLS)),
        Port("distances", "float32", ("batch", 4, CELLS, CELLS)),
    ]
    model = builder.model(inputs, [Port("candidates", "float32", ("batch", N_CANDIDATES, 6))], {})
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def plain(logits: Array, distances: Array) -> Array:
    """Candidates of one picture, [100, 6], by the definition."""
    padded = np.pad(logits, [(0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    around = [padded[:, i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3)]
    peaks = np.where(logits >= np.max(around, axis=0), logits, -np.inf)
    best = np.argsort(-peaks, axis=None, kind="stable")[:N_CANDIDATES]
    kind, row, column = np.unravel_index(best, peaks.shape)
    left, top, right, bottom = distances[:, row, column]
    x, y = column * CELL, row * CELL
    score = 1 / (1 + np.exp(-logits[kind, row, column]))
    return np.stack([x - left, y - top, x + right, y + bottom, score, kind], axis=1)


def test_noise(session: onnxruntime.InferenceSession) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(-6, 3, (2, N_CLASSES, CELLS, CELLS)).astype(np.float32)
    distances = random.uniform(0, 200, (2, 4, CELLS, CELLS)).astype(np.float32)
    (candidates,) = session.run(None, {"logits": logits, "distances": distances})
    for i in range(2):
        np.testing.assert_allclose(candidates[i], plain(logits[i], distances[i]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, CELLS - 1), (CELLS - 1, 0), (CELLS - 1, CELLS - 1), (5, 9)])
def test_one_peak_and_its_weaker_neighbour(session: onnxruntime.InferenceSession, row: int, column: int) -> None:
    logits = np.full((1, N_CLASSES, CELLS, CELLS), -9, np.float32)
    beside = column + (1 if column == 0 else -1)
    logits[0, 17, row, column], logits[0, 17, row, beside], logits[0, 3, row, beside] = 2.0, 1.9999, 1.0
    distances = np.broadcast_to(np.float32([1, 2, 3, 4])[None, :, None, None], (1, 4, CELLS, CELLS)).copy()
    (candidates,) = session.run(None, {"logits": logits, "distances": distances})
    x, y = column * CELL, row * CELL
    first = [x - 1, y - 2, x + 3, y + 4, 1 / (1 + np.exp(-2.0)), 17]
    np.testing.assert_allclose(candidates[0, 0], first, rtol=1e-6)
    assert candidates[0, 1, 5] == 3  # the neighbour of another class stays, that of the same class does not
    assert candidates[0, 2, 4] < 0.001
