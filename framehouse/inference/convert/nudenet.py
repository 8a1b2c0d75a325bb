"""NudeNet 320n as `framehouse models pull moderation` gets it, made into what `moderation_network` serves."""

from __future__ import annotations

import numpy as np

from framehouse.errors import ConfigError
from framehouse.inference.convert.around import Around, pixels_before
from framehouse.inference.convert.graph import Port, element_type

SIDE = 320
N_CLASSES = 18
"""Of the network. Two of them are faces, by sex, which it does not tell well: they become one."""
FACE_FEMALE, FACE_MALE = 1, 12
N_CANDIDATES = 300

_GIVES = "output0"


def network(file: bytes) -> bytes:
    """`image` uint8 [N, 320, 320, 3] RGB to `candidates` float32 [N, 300, 6]: x1, y1, x2, y2 in pixels, score, class.

    Candidates are the places with the best score in any class, by falling score; each has its best class only. The 17
    classes are the network's, with the second of the two kinds of faces taken out.

    Raises:
        ConfigError: code `models.convert`: not the network that this is written for.
    """
    around = Around(file, "images", _GIVES)
    if around.opset != 17:
        raise ConfigError(f"a graph of opset {around.opset}, expected 17", code="models.convert")
    pixels_before(around, "image", "images", blue_first=False, scale=1 / 255, shift=0)
    decode(around)
    return around.model(
        [Port("image", "uint8", ("batch", SIDE, SIDE, 3))],
        [Port("candidates", "float32", ("batch", N_CANDIDATES, 6))],
        {"classes": str(N_CLASSES - 1), "license": "AGPL-3.0", "source": "NudeNet 320n"},
    )


def decode(around: Around, n_classes: int = N_CLASSES, n_candidates: int = N_CANDIDATES) -> None:
    """From [N, 4 + classes, places] (centre, size, a score for each class) to the best candidates [N, K, 6]."""
    scores = merged_scores(around, n_classes)
    best = around.behind("ReduceMax", [scores], "best", axes=[1], keepdims=0)
    kind = around.behind("ArgMax", [scores], "kind", axis=1, keepdims=0)
    how_many = around.constant("n_candidates", np.array([n_candidates], np.int64))
    top, place = around.split_behind("TopK", [best, how_many], ("top", "place"), axis=1)
    picked = around.behind("GatherElements", [kind, place], "kind@place", axis=1)
    picked = around.behind("Cast", [picked], "kind@float", to=element_type("float32"))
    last = around.constant("last", np.array([2], np.int64))
    columns = [around.behind("Unsqueeze", [name, last], f"{name}@column") for name in (top, picked)]
    around.behind("Concat", [_boxes(around, place), *columns], "candidates", axis=2)


def merged_scores(around: Around, n_classes: int) -> str:
    """Scores [N, classes - 1, places]: the better one of the two faces stands where the first one was."""
    faces_at = np.array([FACE_FEMALE, FACE_MALE], np.int64) + 4
    rest = np.delete(np.arange(n_classes, dtype=np.int64), [FACE_FEMALE, FACE_MALE]) + 4
    faces = around.behind("Gather", [_GIVES, around.constant("faces", faces_at)], "faces@each", axis=1)
    face = around.behind("ReduceMax", [faces], "face", axes=[1], keepdims=1)
    parts = [
        around.behind("Gather", [_GIVES, around.constant("lower", rest[:FACE_FEMALE])], "scores@lower", axis=1),
        face,
        around.behind("Gather", [_GIVES, around.constant("upper", rest[FACE_FEMALE:])], "scores@upper", axis=1),
    ]
    return around.behind("Concat", parts, "scores", axis=1)


def _boxes(around: Around, place: str) -> str:
    """x1, y1, x2, y2 at each place, [N, K, 4]."""
    sides = around.constant("sides", np.arange(4, dtype=np.int64))
    all_boxes = around.behind("Gather", [_GIVES, sides], "boxes@all", axis=1)
    row = around.behind("Unsqueeze", [place, around.constant("middle", np.array([1], np.int64))], "place@row")
    four = around.behind("Expand", [row, around.constant("four", np.array([1, 4, 1], np.int64))], "place@sides")
    picked = around.behind("GatherElements", [all_boxes, four], "boxes@place", axis=2)
    turned = around.behind("Transpose", [picked], "boxes@last", perm=(0, 2, 1))
    corners = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)
    return around.behind("MatMul", [turned, around.constant("corners", corners)], "boxes")
