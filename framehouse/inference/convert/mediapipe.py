"""MediaPipe's face and selfie networks for Triton: pictures as they come from the decoder in, words and pixels out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import GraphBuilder, Port, element_type
from framehouse.inference.convert.lite_translate import LiteTranslator
from framehouse.inference.convert.tflite import LiteGraph, read_lite
from framehouse.inference.convert.translate import Tensor

MESH_SIDE, MESH_POINTS = 192, 468
IRIS_SIDE, CONTOUR_POINTS, IRIS_POINTS = 64, 71, 5
FACES_SIDE, FACES_CELL = 192, 4
"""Input pixels a side, and per cell of the face detector, each of which is one anchor."""
FACE_POINTS = 6
N_CANDIDATES = 256
SELFIE_SIZE = (256, 144)
"""(width, height) of the landscape form."""


def convert_mesh(source: Path) -> bytes:
    """The ONNX model of `face_landmark.tflite`.

    Input `image`, uint8 [N, 192, 192, 3], RGB: a face. Outputs `landmarks`, float32 [N, 468, 3]: x, y in pixels of the
    crop, z in the same measure; `presence`, float32 [N, 1]: how sure it is a face, 0..1.

    Raises:
        ConfigError: onnx is not installed, or the source is not the network that this is written for.
    """
    builder, network = _translated("face_mesh", source, (MESH_SIDE, MESH_SIDE), ((1404,), (1,)))
    landmarks = _reshape(builder, network.output(0), "landmarks", (MESH_POINTS, 3))
    presence = _reshape(builder, builder.op("Sigmoid", [network.output(1)], "presence@flat"), "presence", (1,))
    return builder.model(
        [_image(MESH_SIDE, MESH_SIDE)],
        [Port(landmarks, "float32", ("batch", MESH_POINTS, 3)), Port(presence, "float32", ("batch", 1))],
        {"source": source.name},
    )


def convert_iris(source: Path) -> bytes:
    """The ONNX model of `iris_landmark.tflite`.

    Input `image`, uint8 [N, 64, 64, 3], RGB: a left eye, or a mirrored right one. Outputs `contour`, float32
    [N, 71, 3], and `iris`, float32 [N, 5, 3] (centre first): x, y in pixels of the crop, z in the same measure.

    Raises:
        ConfigError: onnx is not installed, or the source is not the network that this is written for.
    """
    builder, network = _translated("iris", source, (IRIS_SIDE, IRIS_SIDE), ((213,), (15,)))
    contour = _reshape(builder, network.output(0), "contour", (CONTOUR_POINTS, 3))
    iris = _reshape(builder, network.output(1), "iris", (IRIS_POINTS, 3))
    return builder.model(
        [_image(IRIS_SIDE, IRIS_SIDE)],
        [
            Port(contour, "float32", ("batch", CONTOUR_POINTS, 3)),
            Port(iris, "float32", ("batch", IRIS_POINTS, 3)),
        ],
        {"source": source.name},
    )


def convert_selfie(source: Path) -> bytes:
    """The ONNX model of `selfie_segmentation_landscape.tflite`.

    Input `image`, uint8 [N, 144, 256, 3], RGB. Output `mask`, uint8 [N, 144, 256]: how sure it is that a pixel belongs
    to a person, 0..255.

    Raises:
        ConfigError: onnx is not installed, or the source is not the network that this is written for.
    """
    builder, network = _translated("selfie", source, SELFIE_SIZE, (SELFIE_SIZE[::-1],))
    share = builder.op("Squeeze", [network.output(0), builder.integers("last", [3])], "share")
    scaled = builder.op("Mul", [share, builder.constant("full", np.array(255, np.float32))], "scaled")
    mask = builder.op("Cast", [builder.op("Round", [scaled], "rounded")], "mask", to=element_type("uint8"))
    width, height = SELFIE_SIZE
    return builder.model(
        [_image(width, height)], [Port(mask, "uint8", ("batch", height, width))], {"source": source.name}
    )


def convert_faces(source: Path) -> bytes:
    """The ONNX model of `face_detection_full_range.tflite`.

    Input `image`, uint8 [N, 192, 192, 3], RGB. Output `candidates`, float32 [N, 256, 17], by falling score: x1, y1,
    x2, y2 in input pixels (they may lie outside), score 0..1, then x, y of right eye, left eye, nose, mouth, right ear,
    left ear.

    Raises:
        ConfigError: onnx is not installed, or the source is not the network that this is written for.
    """
    anchors = _anchors()
    values = 4 + 2 * FACE_POINTS
    outputs = ((len(anchors), values), (len(anchors),))
    builder, network = _translated("faces", source, (FACES_SIDE, FACES_SIDE), outputs, signed=True)
    logits = builder.op("Squeeze", [network.output(1), builder.integers("last", [2])], "logits")
    best, places = builder.split(
        "TopK", [logits, builder.integers("n_candidates", [N_CANDIDATES])], ("best", "places"), axis=1
    )
    column = builder.op("Unsqueeze", [places, builder.integers("last", [2])], "places@column")
    index = builder.op("Expand", [column, builder.integers("values", [1, 1, values])], "index")
    picked = builder.op("GatherElements", [network.output(0), index], "picked", axis=1)
    pairs = _reshape(builder, picked, "pairs", (N_CANDIDATES, values // 2, 2))
    anchor = builder.op("Gather", [builder.constant("anchors", anchors), places], "anchor", axis=0)
    middle = builder.op("Unsqueeze", [anchor, builder.integers("last", [2])], "anchor@row")
    boxes, points = _corners_and_points(builder, pairs, middle)
    score = builder.op(
        "Unsqueeze", [builder.op("Sigmoid", [best], "score"), builder.integers("last", [2])], "score@column"
    )
    made = builder.op("Concat", [*boxes, score, points], "candidates", axis=2)
    return builder.model(
        [_image(FACES_SIDE, FACES_SIDE)],
        [Port(made, "float32", ("batch", N_CANDIDATES, values + 1))],
        {"source": source.name},
    )


def _anchors() -> NDArray[np.float32]:
    """Centre of each cell in input pixels, row by row, float32 [2304, 2]."""
    cells = FACES_SIDE // FACES_CELL
    rows, columns = np.divmod(np.arange(cells * cells), cells)
    return ((np.stack([columns, rows], axis=1) + 0.5) * FACES_CELL).astype(np.float32)


def _corners_and_points(builder: GraphBuilder, pairs: str, anchor: str) -> tuple[list[str], str]:
    """Upper left and lower right corner [N, K, 2] each, and the points [N, K, 12], from pairs [N, K, 8, 2].

    The pairs are the box's centre from the anchor, its size, and the points from the anchor, all in input pixels.
    """
    axis = builder.integers("pair_axis", [2])
    names = ("offset", "size", "reach")
    split = builder.integers("pair_counts", [1, 1, FACE_POINTS])
    offset, size, reach = builder.split("Split", [pairs, split], names, axis=2)
    centre = builder.op("Add", [offset, anchor], "centre")
    half = builder.op("Mul", [size, builder.constant("half", np.array(0.5, np.float32))], "half_size")
    corners = [
        builder.op("Squeeze", [builder.op(sign, [centre, half], f"{name}@row"), axis], name)
        for sign, name in (("Sub", "upper_left"), ("Add", "lower_right"))
    ]
    points = builder.op("Add", [reach, anchor], "points@pairs")
    return corners, _reshape(builder, points, "points", (N_CANDIDATES, 2 * FACE_POINTS))


def _translated(
    name: str, source: Path, size: tuple[int, int], outputs: tuple[tuple[int, ...], ...], *, signed: bool = False
) -> tuple[GraphBuilder, LiteTranslator]:
    """The network behind `image`, uint8 NHWC, scaled to 0..1, or to -1..1 when `signed`.

    Args:
        size: (width, height) of the pictures.
        outputs: shape of each output without axes of length 1.
    """
    graph, builder = read_lite(source), GraphBuilder(name)
    _check(source.name, graph, size, outputs)
    turned = builder.op("Transpose", ["image"], "image@nchw", perm=(0, 3, 1, 2))
    picture = builder.op("Cast", [turned], "image@float", to=element_type("float32"))
    half = builder.constant("range", np.array(127.5 if signed else 255, np.float32))
    picture = builder.op("Div", [picture, half], "pictures")
    if signed:
        picture = builder.op("Sub", [picture, builder.constant("one", np.array(1, np.float32))], "pictures@signed")
    return builder, LiteTranslator(graph, builder, Tensor(picture, "nchw"))


def _check(name: str, graph: LiteGraph, size: tuple[int, int], outputs: tuple[tuple[int, ...], ...]) -> None:
    width, height = size
    found = [graph.shapes[tensor] for tensor in (*graph.inputs, *graph.outputs)]
    squeezed = tuple(tuple(length for length in shape if length != 1) or (1,) for shape in found[1:])
    if found[0] != (1, height, width, 3) or squeezed != outputs:
        raise ConfigError(f"{name} takes and gives {found}, which is another network", code="convert.format")


def _image(width: int, height: int) -> Port:
    return Port("image", "uint8", ("batch", height, width, 3))


def _reshape(builder: GraphBuilder, tensor: str, name: str, shape: tuple[int, ...]) -> str:
    """The tensor of that name with these lengths behind the batch."""
    wanted = builder.integers(f"{name}@shape", [0, *shape])
    return builder.op("Reshape", [tensor, wanted], name)
