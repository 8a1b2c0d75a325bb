"""Every family's wrapped graph against a decoder of its own, written in numpy from what the projects document."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exports_in_hand import EXPORTS, Wrapped, pictures_of, wrapped

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
Table = dict[str, np.ndarray]
"""Of one picture, all there is before the best are taken: box [A, 4], score [A], class [A], and extras [A, E]."""


# ---------------------------------------------------------------- pixels, as the projects prepare them


def unit(pictures: np.ndarray) -> np.ndarray:
    return (pictures.astype(np.float32) / 255).transpose(0, 3, 1, 2)


def raw_bgr(pictures: np.ndarray) -> np.ndarray:
    return pictures[..., ::-1].astype(np.float32).transpose(0, 3, 1, 2)


def imagenet(pictures: np.ndarray) -> np.ndarray:
    return ((pictures.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)


def imagenet_last(pictures: np.ndarray) -> np.ndarray:
    return (pictures.astype(np.float32) / 255 - MEAN) / STD


# ---------------------------------------------------------------- decoders


def xyxy(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], axis=1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def table(box: np.ndarray, scores: np.ndarray, extras: np.ndarray) -> Table:
    return {"box": box, "score": scores.max(axis=1), "class": scores.argmax(axis=1), "extras": extras}


def anchors_last(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    rows = raw["output0"][i].T
    return table(xyxy(rows[:, :4]), rows[:, 4 : 4 + n_classes], rows[:, 4 + n_classes :])


def ready_rows(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    rows = raw["output0"][i]
    return {"box": rows[:, :4], "score": rows[:, 4], "class": rows[:, 5].astype(int), "extras": rows[:, 6:]}


def objectness(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    rows = raw["output0"][i]
    return table(xyxy(rows[:, :4]), rows[:, 5 : 5 + n_classes] * rows[:, 4:5], rows[:, 5 + n_classes :])


def yolox_raw(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    rows = raw["output"][i].astype(np.float64)
    at = 0
    for stride in (8, 16, 32):
        for y in range(192 // stride):
            for x in range(320 // stride):
                rows[at, 0] = (rows[at, 0] + x) * stride
                rows[at, 1] = (rows[at, 1] + y) * stride
                rows[at, 2:4] = np.exp(rows[at, 2:4]) * stride
                at += 1
    assert at == len(rows)
    return table(xyxy(rows[:, :4]), rows[:, 5:] * rows[:, 4:5], rows[:, :0])


def yolox_decoded(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    rows = raw["output"][i]
    return table(xyxy(rows[:, :4]), rows[:, 5:] * rows[:, 4:5], rows[:, :0])


def pairs(box: np.ndarray, scores: np.ndarray) -> Table:
    queries, n_classes = scores.shape
    return {
        "box": np.repeat(xyxy(box), n_classes, axis=0), "score": scores.ravel(),
        "class": np.tile(np.arange(n_classes), queries), "extras": np.empty((scores.size, 0)),
    }  # fmt: skip


def rfdetr(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    return pairs(raw["dets"][i] * 384, sigmoid(raw["labels"][i])[:, :n_classes])


def rtdetr_logits(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    return pairs(raw["pred_boxes"][i] * 640, sigmoid(raw["logits"][i]))


def rtdetr_rows(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    return pairs(raw["output0"][i, :, :4] * 256, raw["output0"][i, :, 4:])


def rtdetr_best_rows(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    rows = raw["output0"][i]
    box = xyxy(rows[:, :4] * np.float32([320, 192, 320, 192]))
    return {"box": box, "score": rows[:, 4], "class": rows[:, 5].astype(int), "extras": rows[:, 6:]}


def rtdetr_ready(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    return {
        "box": raw["boxes"][i], "score": raw["scores"][i], "class": raw["labels"][i], "extras": np.empty((300, 0)),
    }  # fmt: skip


def detr(raw: dict[str, np.ndarray], i: int, n_classes: int) -> Table:
    logits = raw["logits"][i].astype(np.float64)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return table(xyxy(raw["pred_boxes"][i] * 320), chances[:, :-1], np.empty((len(logits), 0)))


Prepare, Decode = Callable[[np.ndarray], np.ndarray], Callable[[dict[str, np.ndarray], int, int], Table]
CASES: dict[str, tuple[Prepare, Decode, str, int]] = {
    # file: (pixels, decoder, layout, rows that are given)
    "yolov5u": (unit, anchors_last, "yolo", 1000),
    "yolov8": (unit, anchors_last, "yolo", 1000),
    "yolov8-half": (unit, anchors_last, "yolo", 1000),
    "yolov8-nms": (unit, ready_rows, "yolo", 300),
    "yolov8-seg": (unit, anchors_last, "yolo-seg", 1000),
    "yolov8-pose": (unit, anchors_last, "yolo-pose", 1000),
    "yolov8-pose-points": (unit, anchors_last, "yolo-pose", 1000),
    "pose-coco": (unit, anchors_last, "yolo-pose", 1000),
    "yolo11": (unit, anchors_last, "yolo", 1000),
    "yolov10": (unit, ready_rows, "yolo", 300),
    "yolo26": (unit, ready_rows, "yolo", 300),
    "yolo26-many": (unit, anchors_last, "yolo", 1000),
    "yolo26-seg": (unit, ready_rows, "yolo-seg", 300),
    "yolo26-pose": (unit, ready_rows, "yolo-pose", 300),
    "yolov5": (unit, objectness, "yolov5", 1000),
    "yolov5-seg": (unit, objectness, "yolov5", 1000),
    "yolox": (raw_bgr, yolox_raw, "yolox", 1000),
    "yolox-decoded": (raw_bgr, yolox_decoded, "yolox", 1000),
    "rfdetr": (imagenet, rfdetr, "rfdetr", 300),
    "rfdetr-coco": (imagenet, rfdetr, "rfdetr", 300),
    "detr": (imagenet, detr, "detr", 100),
    "rtdetr-logits": (unit, rtdetr_logits, "rtdetr", 300),
    "rtdetr": (unit, rtdetr_ready, "rtdetr", 300),
    "rtdetr-rows": (unit, rtdetr_rows, "rtdetr", 300),
    "rtdetr-ultralytics": (unit, rtdetr_best_rows, "rtdetr", 300),
}
FIXED = {"yolov8-half", "yolov8-nms", "yolo11", "yolov8-pose-points", "rtdetr-ultralytics"}
WISHES = {"rtdetr": {"labels": ("a", "b", "c")}}


def inputs(made: Wrapped, prepare: Prepare, pictures: np.ndarray) -> dict[str, np.ndarray]:
    image = made.sight.image
    prepared = prepare(pictures)
    feeds = {image.port.name: prepared.astype(np.float16) if image.port.dtype == 10 else prepared}
    width, height = image.size
    for port in image.others:
        ones = np.ones((len(pictures), height, width), np.int64)
        size = np.tile(np.int64([width, height]), (len(pictures), 1))
        feeds[port.name] = size if port.name == "orig_target_sizes" else ones
    return feeds


def columns(found: Table) -> np.ndarray:
    parts = [found["box"], found["score"][:, None], found["class"][:, None], found["extras"]]
    return np.concatenate(parts, axis=1).astype(np.float64)


def check_rows(given: np.ndarray, everything: np.ndarray) -> None:
    """The rows given are the highest scores of everything, each one of its rows, none of them twice."""
    expected = np.sort(everything[:, 4])[::-1][: len(given)]
    np.testing.assert_allclose(np.sort(given[:, 4])[::-1], expected, atol=1e-5)
    apart = np.stack([(np.abs(everything - row) / (1 + np.abs(row))).max(axis=1) for row in given])
    assert apart.min(axis=1).max() < 1e-3
    distinct = len(np.unique(np.round(everything, 3), axis=0)) == len(everything)
    assert not distinct or len(set(apart.argmin(axis=1).tolist())) == len(given)


@pytest.mark.parametrize("name", CASES)
def test_the_wrapped_graph_gives_what_a_decoder_of_its_own_gives(name: str) -> None:
    prepare, decode, layout, n_rows = CASES[name]
    made = wrapped(EXPORTS / f"{name}.onnx", **WISHES.get(name, {}))
    assert made.plan.layout == layout
    n_classes = len(made.plan.labels)
    for count in (1,) if name in FIXED else (1, 3):
        pictures = pictures_of(made.sight, count)
        given, raw = made.run(pictures), made.raw(**inputs(made, prepare, pictures))
        assert given["candidates"].shape == (count, n_rows, 6)
        assert given["candidates"].dtype == np.float32
        for i in range(count):
            expected = decode(raw, i, n_classes)
            assert expected["score"].max() > 0.03, "a fixture in which nothing is seen proves nothing"
            check_rows(with_extras(made, given, i), columns(expected))
        if "protos" in given:
            np.testing.assert_array_equal(given["protos"], raw["output1"])


def with_extras(made: Wrapped, given: dict[str, np.ndarray], i: int) -> np.ndarray:
    """[K, 6 + extras]: masks' coefficients, or points as they lay in the file."""
    rows = given["candidates"][i].astype(np.float64)
    if "coefficients" in given:
        return np.concatenate([rows, given["coefficients"][i]], axis=1)
    if "points" in given:
        points = given["points"][i]
        if made.sight.export.metadata.point_shape == (5, 2):
            assert (points[:, :, 2] == 1).all()
            points = points[:, :, :2]
        return np.concatenate([rows, points.reshape(len(rows), -1)], axis=1)
    return rows


def test_pictures_of_a_batch_are_not_mixed() -> None:
    for name in sorted(set(CASES) - FIXED):
        made = wrapped(EXPORTS / f"{name}.onnx", **WISHES.get(name, {}))
        pictures = pictures_of(made.sight, 3)
        together = made.run(pictures)
        assert not np.array_equal(together["candidates"][0], together["candidates"][1]), name
        for i in range(3):
            alone = made.run(pictures[i : i + 1])
            for key, values in together.items():
                np.testing.assert_allclose(values[i], alone[key][0], rtol=1e-3, atol=1e-2, err_msg=f"{name} {key}")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "prepare", "finish", "kind", "kept"),
    [
        ("yolov8-cls", unit, lambda x: x, "classifications", 5),
        ("classifier-logits", imagenet, softmax, "classifications", 5),
        ("classifier-softmax", imagenet, lambda x: x, "classifications", 5),
        ("classifier-channels-last", imagenet_last, lambda x: x, "classifications", 5),
        ("classifier-sigmoid", imagenet, lambda x: x, "multilabels", 12),
    ],
)
def test_classes_are_the_best_of_the_scores(
    name: str, prepare: Prepare, finish: Callable[[np.ndarray], np.ndarray], kind: str, kept: int
) -> None:
    made = wrapped(EXPORTS / f"{name}.onnx")
    assert made.plan.kind == kind
    count = 1 if name == "classifier-sigmoid" else 3
    pictures = pictures_of(made.sight, count)
    given = made.run(pictures)
    (raw,) = made.raw(**inputs(made, prepare, pictures)).values()
    expected = finish(raw)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :kept]
    assert given["classes"].dtype == np.int32
    np.testing.assert_array_equal(given["classes"], order)
    np.testing.assert_allclose(given["confidences"], np.take_along_axis(expected, order, axis=1), atol=1e-5)


def test_multilabels_by_choice_judge_each_class_alone() -> None:
    made = wrapped(EXPORTS / "classifier-logits.onnx", family="multilabels")
    pictures = pictures_of(made.sight, 2)
    (raw,) = made.raw(**inputs(made, imagenet, pictures)).values()
    np.testing.assert_allclose(made.run(pictures)["confidences"], np.sort(sigmoid(raw))[:, ::-1], atol=1e-5)


@pytest.mark.parametrize(
    ("values", "prepare"),
    [
        ("0..255", lambda p: p[..., ::-1].astype(np.float32).transpose(0, 3, 1, 2)),
        ("0..1", lambda p: unit(p[..., ::-1])),
        ("-1..1", lambda p: (p[..., ::-1].astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2)),
        ("imagenet", lambda p: imagenet(p)[:, ::-1]),
    ],
)
def test_pixels_are_as_the_person_says(values: str, prepare: Prepare) -> None:
    """BGR: the channels swap places, each with the mean of its own colour."""
    made = wrapped(EXPORTS / "classifier-logits.onnx", values=values, colour="bgr")
    pictures = pictures_of(made.sight, 2)
    (raw,) = made.raw(**inputs(made, prepare, pictures)).values()
    np.testing.assert_allclose(made.run(pictures)["confidences"], np.sort(softmax(raw))[:, ::-1][:, :5], rtol=1e-4)


@pytest.mark.parametrize("opset", range(11, 22))
@pytest.mark.parametrize("name", ["yolov5", "detr", "rfdetr", "yolox"])
def test_our_operations_are_valid_in_every_opset(name: str, opset: int, tmp_path: Path) -> None:
    """The drawn graphs hold only operations that are the same from 11 to 21, so that the number alone may change."""
    import onnx

    from exports_in_hand import edited

    path = edited(EXPORTS / f"{name}.onnx", tmp_path, lambda m: setattr(m.opset_import[0], "version", opset))
    made, usual = wrapped(path), wrapped(EXPORTS / f"{name}.onnx")
    assert made.sight.export.opset == opset
    onnx.checker.check_model(onnx.load_from_string(made.data), full_check=True)
    pictures = pictures_of(made.sight, 2)
    np.testing.assert_array_equal(made.run(pictures)["candidates"], usual.run(pictures)["candidates"])
