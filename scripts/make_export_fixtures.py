"""Makes `tests/data/exports/*.onnx`: small graphs with random weights, one per way in which people export models.

Was run once and is run again only for a new way. Two sorts:

- `real`: exports by ultralytics itself of shrunken configurations (its own heads on a backbone of a few channels).
  Needs an environment with torch, torchvision and ultralytics (8.4.190 was used), which Framehouse itself never has.
- `drawn`: graphs of the shapes that other projects document, drawn with onnx alone.

    python scripts/make_export_fixtures.py [DESTINATION] [real|drawn]
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DESTINATION = Path(__file__).resolve().parent.parent / "tests" / "data" / "exports"
LARGEST_BYTES = 200_000
HEIGHT, WIDTH = 192, 320
ANCHORS = sum((HEIGHT // s) * (WIDTH // s) for s in (8, 16, 32))
NAMES = {0: "cat", 1: "traffic light", 2: "it's"}
IR_VERSION = 8

# ---------------------------------------------------------------- exports by ultralytics

BACKBONE = """
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]   # 2, stride 8
  - [-1, 1, {block}]
  - [-1, 1, Conv, [8, 3, 2]]   # 4, stride 16
  - [-1, 1, Conv, [8, 3, 2]]   # 5, stride 32
"""
BLOCKS = {"v5": "C3, [8]", "v8": "C2f, [8, True]", "11": "C3k2, [8, False, 0.5]"}


def architecture(head: str, *, block: str = "v8", classes: int = 3, extra: str = "") -> str:
    """A model's yaml: the small backbone and one of the real heads."""
    backbone = BACKBONE.format(block=BLOCKS[block])
    return f"nc: {classes}\n{extra}\nbackbone:{backbone}\nhead:\n  - {head}\n"


DETECT = "[[3, 4, 5], 1, Detect, [nc]]"
SMALL = "reg_max: 4"
REAL: dict[str, tuple[str, dict[str, Any]]] = {
    # file: (yaml, arguments of export)
    "yolov5u": (architecture(DETECT, block="v5", extra=SMALL), {"opset": 12, "dynamic": True}),
    "yolov8": (architecture(DETECT, extra=SMALL), {"opset": 17, "dynamic": True}),
    "yolov8-half": (architecture(DETECT, extra=SMALL), {"opset": 17, "half": True}),
    "yolov8-nms": (architecture(DETECT, extra=SMALL), {"opset": 17, "nms": True, "conf": 0.1}),
    "yolov8-seg": (
        architecture("[[3, 4, 5], 1, Segment, [nc, 8, 16]]", extra=SMALL), {"opset": 11, "dynamic": True},
    ),
    "yolov8-pose": (
        architecture("[[3, 4, 5], 1, Pose, [nc, [5, 3]]]", classes=1, extra=f"{SMALL}\nkpt_shape: [5, 3]"),
        {"opset": 18, "dynamic": True},
    ),
    "yolov8-pose-points": (
        architecture("[[3, 4, 5], 1, Pose, [nc, [5, 2]]]", classes=3, extra=f"{SMALL}\nkpt_shape: [5, 2]"),
        {"opset": 17},
    ),
    "yolov8-obb": (architecture("[[3, 4, 5], 1, OBB, [nc, 1]]", extra=SMALL), {"opset": 17}),
    "yolov8-cls": (architecture("[-1, 1, Classify, [nc]]", classes=7), {"opset": 17, "imgsz": 64, "dynamic": True}),
    "yolo11": (architecture(DETECT, block="11", extra=SMALL), {"opset": 18}),
    "yolov10": (architecture("[[3, 4, 5], 1, v10Detect, [nc]]"), {"opset": 17, "dynamic": True, "nms": False}),
    "yolo26": (architecture(DETECT, block="11", extra="reg_max: 1\nend2end: True"), {"opset": 20, "dynamic": True, "nms": False}),  # noqa: E501
    "yolo26-many": (
        architecture(DETECT, block="11", extra="reg_max: 1\nend2end: True"),
        {"opset": 18, "dynamic": True},
    ),
    "yolo26-seg": (
        architecture("[[3, 4, 5], 1, Segment26, [nc, 32, 16]]", extra="reg_max: 1\nend2end: True"),
        {"opset": 18, "dynamic": True, "nms": False},
    ),
    "yolo26-pose": (
        architecture("[[3, 4, 5], 1, Pose26, [nc, [5, 3]]]", classes=1,
                     extra="reg_max: 1\nend2end: True\nkpt_shape: [5, 3]"),
        {"opset": 18, "dynamic": True, "nms": False},
    ),
    "rtdetr-ultralytics": (
        architecture("[[3, 4, 5], 1, RTDETRDecoder, [nc, 16, 300, 4, 2, 1, 32]]"), {"opset": 16},
    ),
}  # fmt: skip


def make_real(name: str, text: str, arguments: dict[str, Any], folder: Path) -> onnx.ModelProto:
    """One export by ultralytics, with random weights that make different scores and boxes."""
    import torch
    from ultralytics import RTDETR, YOLO
    from ultralytics.engine import exporter

    exporter.file_size = lambda _: 1.0  # it takes files below 0.1 MB for failures
    path = folder / "small.yaml"  # the name says nothing: ultralytics reads families and scales out of it
    path.write_text(text)
    torch.manual_seed(len(name))
    with small_distributions(name == "yolov10"):
        model = (RTDETR if "RTDETR" in text else YOLO)(str(path))
    spread(model.model)
    model.model.names = NAMES if len(model.model.names) == 3 else model.model.names
    arguments = {"imgsz": [HEIGHT, WIDTH], "simplify": False, **arguments}
    made = onnx.load(model.export(format="onnx", device="cpu", **arguments))
    for entry in made.metadata_props:
        entry.value = {"date": "2026-11-24T00:00:00+00:00", "description": "Ultralytics model"}.get(
            entry.key, entry.value
        )
    return made


@contextmanager
def small_distributions(wanted: bool) -> Iterator[None]:
    """v10Detect takes no reg_max, and 16 bins need more weights than a fixture may have."""
    from ultralytics.nn.modules.head import Detect

    before = Detect.__init__.__defaults__
    if wanted:
        Detect.__init__.__defaults__ = tuple(4 if value == 16 else value for value in before)
    yield
    Detect.__init__.__defaults__ = before


def spread(model: Any) -> None:
    """Weights so large that places differ, and class biases so high that some scores pass a threshold."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 4:
                parameter.normal_(0, 2.0 / parameter[0].numel() ** 0.5)
            elif name.endswith("bias") and ".cv3." in name:
                parameter.fill_(-1.5)


def real(destination: Path) -> None:
    """All exports by ultralytics; nothing is fetched or installed."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(YOLO_CONFIG_DIR=folder, YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
        with contextlib.chdir(folder):  # ultralytics writes there
            made = {name: make_real(name, *given, Path(folder)) for name, given in REAL.items()}
    for name, model in made.items():
        save(model, destination / f"{name}.onnx")


# ---------------------------------------------------------------- drawn graphs


class Drawing:
    """A graph in the making; weights are random, the same in each run."""

    def __init__(self, seed: str) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.random = np.random.default_rng(list(seed.encode()))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def noise(self, *shape: int, scale: float = 1.0, shift: float = 0.0) -> str:
        return self.constant(self.random.normal(shift, scale, shape))

    def named(self, tensor: str, name: str) -> str:
        self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        return name

    def columns(self, tensor: str, first: int, end: int) -> str:
        """Part of the last of three axes."""
        return self.op("Slice", tensor, *(self.constant([n], np.int64) for n in (first, end, 2)))

    def cells(self, image: str, stride: int, channels: int, scale: float) -> str:
        """[N, cells, channels]: a random linear map of the mean colours of each cell of the picture."""
        pooled = self.op("AveragePool", image, kernel_shape=[stride, stride], strides=[stride, stride])
        maps = self.op(
            "Conv", pooled, self.noise(channels, 3, 1, 1, scale=scale), self.noise(channels), kernel_shape=[1, 1]
        )
        rows = self.op("Reshape", maps, self.constant([0, channels, -1], np.int64))
        return self.op("Transpose", rows, perm=[0, 2, 1])

    def queries(self, image: str, count: int, channels: int, scale: float) -> str:
        """[N, count, channels]: a random function of the picture's mean colours."""
        mean = self.op("Flatten", self.op("GlobalAveragePool", image), axis=1)
        hidden = self.op("Add", self.op("MatMul", mean, self.noise(3, 4, scale=2.0)), self.noise(4))
        each = self.op("Mul", self.op("Reshape", hidden, self.constant([-1, 1, 4], np.int64)), self.noise(count, 4))
        return self.op("Add", self.op("MatMul", each, self.noise(4, channels, scale=scale)), self.noise(channels))

    def model(
        self, inputs: list[tuple[str, int, list[Any]]], outputs: list[tuple[str, int, list[Any]]], *,
        opset: int, metadata: dict[str, str] | None = None,
    ) -> onnx.ModelProto:  # fmt: skip
        graph = helper.make_graph(
            self.nodes, "main_graph", [helper.make_tensor_value_info(*port) for port in inputs],
            [helper.make_tensor_value_info(*port) for port in outputs], self.constants,
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
        helper.set_model_props(made, metadata or {})
        return made


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
BATCH: Any = "batch"


def picture(name: str, height: int = HEIGHT, width: int = WIDTH, batch: Any = BATCH) -> tuple[str, int, list[Any]]:
    return name, FLOAT, [batch, 3, height, width]


def yolov5(extra: int = 0, opset: int = 12) -> tuple[Drawing, str]:
    """Rows of the original YOLOv5: three anchors a cell, centre form in pixels, objectness, classes, extras."""
    draw = Drawing(f"yolov5{extra}")
    image = draw.named("images", "t_images")
    levels = []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: HEIGHT // stride, : WIDTH // stride]
        centre = (np.stack([x, y], axis=-1).reshape(1, -1, 2) + 0.5) * stride
        for anchor in (1.0, 2.0, 3.0):
            raw = draw.cells(image, stride, 8 + extra, 4.0)
            moved = draw.op("Mul", draw.columns(raw, 0, 2), draw.constant(stride / 2))
            xy = draw.op("Add", moved, draw.constant(centre))
            size = draw.op("Mul", draw.op("Sigmoid", draw.columns(raw, 2, 4)), draw.constant(4 * anchor * stride))
            scores = draw.op("Sigmoid", draw.columns(raw, 4, 8))
            parts = [xy, size, scores, *([draw.columns(raw, 8, 8 + extra)] if extra else [])]
            levels.append(draw.op("Concat", *parts, axis=2))
    return draw, draw.op("Concat", *levels, axis=1)


def draw_yolov5() -> onnx.ModelProto:
    draw, rows = yolov5()
    draw.named(rows, "output0")
    metadata = {"stride": "32", "names": str(NAMES)}
    return draw.model([picture("images")], [("output0", FLOAT, [BATCH, 3 * ANCHORS, 8])], opset=12, metadata=metadata)


def draw_yolov5_seg() -> onnx.ModelProto:
    draw, rows = yolov5(extra=32)
    draw.named(rows, "output0")
    pooled = draw.op("AveragePool", "t_images", kernel_shape=[4, 4], strides=[4, 4])
    protos = draw.op("Conv", pooled, draw.noise(32, 3, 1, 1, scale=2.0), draw.noise(32), kernel_shape=[1, 1])
    draw.named(protos, "output1")
    outputs = [
        ("output0", FLOAT, [BATCH, 3 * ANCHORS, 40]), ("output1", FLOAT, [BATCH, 32, HEIGHT // 4, WIDTH // 4]),
    ]  # fmt: skip
    return draw.model([picture("images")], outputs, opset=13, metadata={"stride": "32", "names": str(NAMES)})


def draw_pose() -> onnx.ModelProto:
    """A pose model of one class and the 17 points of COCO, channels first: the 56 channels that say nothing alone."""
    draw = Drawing("pose")
    image = draw.named("images", "t_images")
    levels = []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: HEIGHT // stride, : WIDTH // stride]
        centre = (np.stack([x, y], axis=-1).reshape(1, -1, 2) + 0.5) * stride
        raw = draw.cells(image, stride, 56, 4.0)
        xy = draw.op("Add", draw.columns(raw, 0, 2), draw.constant(centre))
        size = draw.op("Mul", draw.op("Sigmoid", draw.columns(raw, 2, 4)), draw.constant(5 * stride))
        score = draw.op("Sigmoid", draw.columns(raw, 4, 5))
        points = []
        for point in range(17):
            moved = draw.op("Mul", draw.columns(raw, 5 + 3 * point, 7 + 3 * point), draw.constant(stride))
            seen = draw.op("Sigmoid", draw.columns(raw, 7 + 3 * point, 8 + 3 * point))
            points += [draw.op("Add", moved, draw.constant(centre)), seen]
        levels.append(draw.op("Concat", xy, size, score, *points, axis=2))
    rows = draw.op("Concat", *levels, axis=1)
    draw.named(draw.op("Transpose", rows, perm=[0, 2, 1]), "output0")
    metadata = {
        "task": "pose", "stride": "32", "names": "{0: 'person'}", "kpt_shape": "[17, 3]",
        "imgsz": f"[{HEIGHT}, {WIDTH}]",
    }  # fmt: skip
    return draw.model([picture("images")], [("output0", FLOAT, [BATCH, 56, ANCHORS])], opset=17, metadata=metadata)


def draw_yolox(decoded: bool) -> onnx.ModelProto:
    """The official export; `decoded` is its --decode_in_inference. Pixels go in as 0..255."""
    draw = Drawing("yolox")
    image = draw.op("Mul", "images", draw.constant(1 / 255))
    levels = []
    for stride in (8, 16, 32):
        raw = draw.cells(image, stride, 8, 3.0)
        scores = draw.op("Sigmoid", draw.columns(raw, 4, 8))
        xy, size = draw.columns(raw, 0, 2), draw.columns(raw, 2, 4)
        if decoded:
            y, x = np.mgrid[: HEIGHT // stride, : WIDTH // stride]
            grid = np.stack([x, y], axis=-1).reshape(1, -1, 2)
            xy = draw.op("Mul", draw.op("Add", xy, draw.constant(grid)), draw.constant(stride))
            size = draw.op("Mul", draw.op("Exp", size), draw.constant(stride))
        levels.append(draw.op("Concat", xy, size, scores, axis=2))
    draw.named(draw.op("Concat", *levels, axis=1), "output")
    return draw.model([picture("images")], [("output", FLOAT, [BATCH, ANCHORS, 8])], opset=11)


def draw_transformer(
    boxes: str, logits: str, queries: int, classes: int, *, image: str = "input", size: int = 384, mask: bool = False
) -> onnx.ModelProto:
    """Centre form in 0..1 and raw class scores, under the names of the project meant."""
    draw = Drawing(boxes + logits + str(classes))
    inputs = [picture(image, size, size)]
    picture_in = draw.named(image, "t_image")
    if mask:
        inputs.append(("pixel_mask", INT64, [BATCH, size, size]))
        shape = draw.constant([-1, 1, size, size], np.int64)
        picture_in = draw.op("Mul", picture_in, draw.op("Reshape", draw.op("Cast", "pixel_mask", to=FLOAT), shape))
    draw.named(draw.op("Sigmoid", draw.queries(picture_in, queries, 4, 1.0)), boxes)
    draw.named(draw.queries(picture_in, queries, classes, 1.0), logits)
    outputs = [(boxes, FLOAT, [BATCH, queries, 4]), (logits, FLOAT, [BATCH, queries, classes])]
    return draw.model(inputs, outputs, opset=17)


def draw_rtdetr() -> onnx.ModelProto:
    """The original RT-DETR and D-FINE: ready boxes, scaled by a second input of (width, height)."""
    draw = Drawing("rtdetr")
    raw = draw.op("Sigmoid", draw.queries("images", 300, 5, 2.0))
    centre, half = draw.columns(raw, 0, 2), draw.op("Mul", draw.columns(raw, 2, 4), draw.constant(0.25))
    corners = draw.op("Concat", draw.op("Sub", centre, half), draw.op("Add", centre, half), axis=2)
    size = draw.op("Cast", "orig_target_sizes", to=FLOAT)
    twice = draw.op("Reshape", draw.op("Concat", size, size, axis=1), draw.constant([-1, 1, 4], np.int64))
    draw.named(draw.op("Mul", corners, twice), "boxes")
    draw.named(draw.op("Reshape", draw.columns(raw, 4, 5), draw.constant([-1, 300], np.int64)), "scores")
    labels = draw.op("ArgMax", draw.queries("images", 300, 3, 1.0), axis=2, keepdims=0)
    draw.named(labels, "labels")
    outputs = [
        ("labels", INT64, [BATCH, 300]), ("boxes", FLOAT, [BATCH, 300, 4]), ("scores", FLOAT, [BATCH, 300]),
    ]  # fmt: skip
    inputs = [picture("images", 256, 256), ("orig_target_sizes", INT64, [BATCH, 2])]
    return draw.model(inputs, outputs, opset=16)


def draw_rtdetr_rows() -> onnx.ModelProto:
    """RT-DETR as older releases of ultralytics wrote it: centre form in 0..1 and a score per class."""
    draw = Drawing("rtdetr-rows")
    draw.named(draw.op("Sigmoid", draw.queries("images", 300, 7, 2.0)), "output0")
    metadata = {"task": "detect", "stride": "32", "names": str(NAMES), "imgsz": "[256, 256]", "version": "8.1.0"}
    return draw.model([picture("images", 256, 256)], [("output0", FLOAT, [BATCH, 300, 7])], opset=17, metadata=metadata)


def draw_classifier(end: str, *, channels_last: bool = False, batch: Any = BATCH) -> onnx.ModelProto:
    """Twelve classes from the mean colours; `end` is the last operation, empty for plain class scores."""
    draw = Drawing(f"classifier{end}")
    name = "pixel_values"
    image = draw.op("Transpose", name, perm=[0, 3, 1, 2]) if channels_last else name
    mean = draw.op("Flatten", draw.op("GlobalAveragePool", image), axis=1)
    logits = draw.op("Gemm", mean, draw.noise(3, 12, scale=3.0), draw.noise(12))
    attributes = {"axis": 1} if end in ("Softmax", "LogSoftmax") else {}
    draw.named(draw.op(end, logits, **attributes) if end else logits, "logits")
    dims = [batch, 48, 48, 3] if channels_last else [batch, 3, 48, 48]
    return draw.model([(name, FLOAT, dims)], [("logits", FLOAT, [batch, 12])], opset=13)


DRAWN: dict[str, Callable[[], onnx.ModelProto]] = {
    "yolov5": draw_yolov5,
    "yolov5-seg": draw_yolov5_seg,
    "pose-coco": draw_pose,
    "yolox": lambda: draw_yolox(decoded=False),
    "yolox-decoded": lambda: draw_yolox(decoded=True),
    "rfdetr": lambda: draw_transformer("dets", "labels", 300, 4),
    "rfdetr-coco": lambda: draw_transformer("dets", "labels", 300, 91),
    "detr": lambda: draw_transformer("pred_boxes", "logits", 100, 4, image="pixel_values", size=320, mask=True),
    "rtdetr-logits": lambda: draw_transformer("pred_boxes", "logits", 300, 3, image="pixel_values", size=640),
    "rtdetr": draw_rtdetr,
    "rtdetr-rows": draw_rtdetr_rows,
    "classifier-logits": lambda: draw_classifier(""),
    "classifier-softmax": lambda: draw_classifier("Softmax"),
    "classifier-sigmoid": lambda: draw_classifier("Sigmoid", batch=1),
    "classifier-channels-last": lambda: draw_classifier("Softmax", channels_last=True),
}


def drawn(destination: Path) -> None:
    """All drawn graphs."""
    for name, draw in DRAWN.items():
        save(draw(), destination / f"{name}.onnx")


def store_halves(graph: onnx.GraphProto) -> None:
    """Weights as float16 and a cast: half the file."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == FLOAT and np.prod(tensor.dims) > 64:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            casts.append(helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], to=FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(half, f"{tensor.name}_half"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write and say; not checked: ultralytics' half-precision files are not sorted, and people have them."""
    if model.ByteSize() > LARGEST_BYTES:
        store_halves(model.graph)
    data = model.SerializeToString(deterministic=True)
    assert len(data) <= LARGEST_BYTES, f"{path.name} has {len(data)} bytes"
    path.write_bytes(data)
    print(f"{path.name}: {len(data)} bytes, opset {model.opset_import[0].version}, IR {model.ir_version}")


if __name__ == "__main__":
    target = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else DESTINATION
    target.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[2:] or ["real", "drawn"]
    for sort, make in (("real", real), ("drawn", drawn)):
        if sort in wanted:
            make(target)
