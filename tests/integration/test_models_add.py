"""`models add`, from the file to the rows: every documented layout, every refusal, versions side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from exports_in_hand import EXPORTS, edited, without_metadata
from framehouse.config import ROOT
from framehouse.errors import ConfigError
from framehouse.ids import content_sha256
from framehouse.inference.cards import read_card
from framehouse.inference.exports import add as adding
from framehouse.inference.exports.add import Added, add_model
from framehouse.inference.removal import plan_removal
from framehouse.inference.removal import remove as remove_model
from framehouse.inference.repository import check, load_specs
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import TritonClient
from framehouse.results.assemble import ModelResults, assemble
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.parts import part_paths, read_part
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames

SHIPPED = ROOT / "triton_models"
LARGEST_FIXTURE = 200_000

LAYOUTS = [
    ("classifier-channels-last", "classifier", "shapes", "classifications"),
    ("classifier-logits", "classifier", "shapes", "classifications"),
    ("classifier-sigmoid", "multilabels", "shapes", "multilabels"),
    ("classifier-softmax", "classifier", "shapes", "classifications"),
    ("detr", "detr", "names", "detections"),
    ("pose-coco", "yolo-pose", "metadata", "keypoints"),
    ("rfdetr-coco", "rfdetr", "names", "detections"),
    ("rfdetr", "rfdetr", "names", "detections"),
    ("rtdetr-logits", "rtdetr", "names", "detections"),
    ("rtdetr-rows", "rtdetr", "metadata", "detections"),
    ("rtdetr-ultralytics", "rtdetr", "metadata", "detections"),
    ("yolo11", "yolo", "metadata", "detections"),
    ("yolo26-many", "yolo", "metadata", "detections"),
    ("yolo26-pose", "yolo-pose", "metadata", "keypoints"),
    ("yolo26-seg", "yolo-seg", "metadata", "segmentations"),
    ("yolo26", "yolo", "metadata", "detections"),
    ("yolov10", "yolo", "metadata", "detections"),
    ("yolov5-seg", "yolov5", "metadata", "segmentations"),
    ("yolov5", "yolov5", "metadata", "detections"),
    ("yolov5u", "yolo", "metadata", "detections"),
    ("yolov8-cls", "yolo-cls", "metadata", "classifications"),
    ("yolov8-half", "yolo", "metadata", "detections"),
    ("yolov8-nms", "yolo", "metadata", "detections"),
    ("yolov8-pose-points", "yolo-pose", "metadata", "keypoints"),
    ("yolov8-pose", "yolo-pose", "metadata", "keypoints"),
    ("yolov8-seg", "yolo-seg", "metadata", "segmentations"),
    ("yolov8", "yolo", "metadata", "detections"),
    ("yolox-decoded", "yolox", "names", "detections"),
    ("yolox", "yolox", "names", "detections"),
]


@pytest.fixture
def added(tmp_path: Path) -> Path:
    return tmp_path / "models"


def add(path: Path, folder: Path, **wishes: Any) -> Added:
    return add_model(path, roots=[SHIPPED, folder], added_dir=folder, **wishes)


# ---------------------------------------------------------------- recognised


def test_every_fixture_is_known_here_and_small() -> None:
    assert {path.stem for path in EXPORTS.glob("*.onnx")} - {row[0] for row in LAYOUTS} == {"rtdetr", "yolov8-obb"}
    assert max(path.stat().st_size for path in EXPORTS.glob("*.onnx")) <= LARGEST_FIXTURE


@pytest.mark.parametrize(("name", "layout", "seen_in", "kind"), LAYOUTS)
def test_a_layout_is_recognised_tried_and_fits(added: Path, name: str, layout: str, seen_in: str, kind: str) -> None:
    done = add(EXPORTS / f"{name}.onnx", added)
    assert (done.layout, done.seen_in, done.kind) == (layout, seen_in, kind)
    assert check([SHIPPED, added]) == []
    card = read_card(done.folder / "card.toml")
    weights = done.folder / "1" / "model.onnx"
    assert card.weights[0].sha256 == content_sha256(weights)
    text = (done.folder / "card.toml").read_text()
    assert content_sha256(EXPORTS / f"{name}.onnx") in text
    assert 'observed = ["' in text, "the shapes that were seen in the trial"
    assert load_specs([SHIPPED, added])[done.model_id].kind == kind


def test_the_person_decides_before_the_file(added: Path) -> None:
    done = add(EXPORTS / "yolov8-cls.onnx", added, family="classifier", labels=tuple("abcdefg"), values="-1..1")
    assert (done.layout, done.seen_in) == ("classifier", "choice")
    assert (done.folder / "labels.txt").read_text().split() == list("abcdefg")
    assert "-1..1" in (done.folder / "card.toml").read_text()


def test_a_file_that_takes_any_size_takes_the_wished_one(added: Path) -> None:
    done = add(EXPORTS / "yolov8.onnx", added, size=(640, 384))
    assert done.input_size == (640, 384)
    assert check([SHIPPED, added]) == []


def test_without_metadata_shapes_decide(added: Path, tmp_path: Path) -> None:
    done = add(without_metadata(EXPORTS / "yolov5.onnx", tmp_path), added)
    assert (done.layout, done.seen_in) == ("yolov5", "shapes")


def test_an_unnamed_number_of_classes_takes_names(added: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        add(EXPORTS / "rtdetr.onnx", added)
    assert refused.value.code == "models.labels"
    assert add(EXPORTS / "rtdetr.onnx", added, labels=("coco",)).n_classes == 80


def test_a_file_may_be_added_twice_but_not_another_under_its_name(added: Path) -> None:
    first = add(EXPORTS / "yolov8.onnx", added, name="forklifts")
    again = add(EXPORTS / "yolov8.onnx", added, name="forklifts")
    assert (first.already, again.already) == (False, True)
    with pytest.raises(ConfigError, match="--version 2") as refused:
        raise_with_hint(lambda: add(EXPORTS / "yolov5.onnx", added, name="forklifts"))
    assert refused.value.code == "models.exists"
    second = add(EXPORTS / "yolov5.onnx", added, name="forklifts", version=2)
    specs = load_specs([SHIPPED, added])
    assert {first.model_id, second.model_id} == {"forklifts/1", "forklifts/2"}
    assert specs["forklifts/1"].digest != specs["forklifts/2"].digest
    assert check([SHIPPED, added]) == []


def raise_with_hint(act: Callable[[], Any]) -> None:
    try:
        act()
    except ConfigError as error:
        raise ConfigError(f"{error.message} ({error.hint})", code=error.code) from error


def small_classifier(*, dynamic: bool) -> bytes:
    """A convolution and a mean; `dynamic` puts an int8 step between them whose scale is taken over the whole batch."""
    weight = np.random.default_rng(0).standard_normal((5, 3, 3, 3)).astype(np.float32)
    middle = [
        helper.make_node("DynamicQuantizeLinear", ["conv"], ["small", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["seen"]),
    ]
    plain = [helper.make_node("Identity", ["conv"], ["seen"])]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "weight"], ["conv"]), *(middle if dynamic else plain),
         helper.make_node("GlobalAveragePool", ["seen"], ["mean"]), helper.make_node("Flatten", ["mean"], ["flat"]),
         helper.make_node("Softmax", ["flat"], ["output0"], axis=1)],
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor("weight", TensorProto.FLOAT, weight.shape, weight.ravel())],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return made.SerializeToString()


@pytest.mark.parametrize(("dynamic", "most"), [(False, 8), (True, 1)])
def test_a_model_whose_neighbours_change_an_answer_takes_one_picture(
    added: Path, tmp_path: Path, dynamic: bool, most: int
) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(small_classifier(dynamic=dynamic))
    done = add(path, added, labels=tuple("abcde"))
    assert f"max_batch_size: {most}\n" in (done.folder / "config.pbtxt").read_text()


# ---------------------------------------------------------------- refused


def outside_weights(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def custom_operation(model: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"


def function_of_its_own(model: Any) -> None:
    model.functions.add(name="f", domain="mine")


def old_opset(model: Any) -> None:
    model.opset_import[0].version = 9


def new_opset(model: Any) -> None:
    model.opset_import[0].version = 99


def new_format(model: Any) -> None:
    model.ir_version = 99


def eight_at_once(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


def gray(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1


def second_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("prompt", TensorProto.FLOAT, [1, 4]))


def not_a_number(model: Any) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.raw_data = np.full(tuple(tensor.dims), np.nan, np.float32).tobytes()


def impossible_names(model: Any) -> None:
    next(entry for entry in model.metadata_props if entry.key == "names").value = "__import__('os').system('false')"


REFUSED: list[tuple[str, Callable[[Any], None] | None, dict[str, Any], str]] = [
    ("yolov8", outside_weights, {}, "models.external_data"),
    ("yolov8", custom_operation, {}, "models.custom_ops"),
    ("yolov8", function_of_its_own, {}, "models.custom_ops"),
    ("yolov8", old_opset, {}, "models.opset"),
    ("yolov8", new_opset, {}, "models.opset"),
    ("yolov8", new_format, {}, "models.ir"),
    ("yolov8", eight_at_once, {}, "models.batch"),
    ("yolov8", gray, {}, "models.input"),
    ("yolov8", second_input, {}, "models.input"),
    ("yolov8", not_a_number, {}, "models.answers"),
    ("yolov8", None, {"max_bytes": 1000}, "models.too_large"),
    ("yolov8", None, {"name": "../escape"}, "models.name"),
    ("yolov8", None, {"name": "a/b"}, "models.name"),
    ("yolov8", None, {"name": ".hidden"}, "models.name"),
    ("yolov8", None, {"name": "Big"}, "models.name"),
    ("yolov8", None, {"name": "a" * 42}, "models.name"),
    ("yolov8", None, {"version": 10_000}, "models.name"),
    ("yolov8", None, {"name": "detector"}, "models.reserved"),
    ("yolov8", None, {"name": "detector", "version": 1}, "models.reserved"),
    ("yolov8", None, {"family": "yolov99"}, "models.family"),
    ("yolov8", None, {"family": "rfdetr"}, "models.shapes"),
    ("yolov8", None, {"labels": ("one", "two")}, "models.labels"),
    ("rfdetr", None, {"size": (640, 640)}, "models.size"),
    ("yolov8", None, {"size": (8, 8)}, "models.size"),
    ("yolov8-obb", None, {}, "models.family"),
]


@pytest.mark.parametrize(("name", "change", "wishes", "code"), REFUSED)
def test_a_refusal_names_its_reason_and_leaves_nothing(
    added: Path, tmp_path: Path, name: str, change: Callable[[Any], None] | None, wishes: dict[str, Any], code: str
) -> None:
    path = EXPORTS / f"{name}.onnx"
    with pytest.raises(ConfigError) as refused:
        add(edited(path, tmp_path, change) if change else path, added, **wishes)
    assert refused.value.code == code, refused.value.message
    assert "\n" not in refused.value.line()
    assert not added.exists() or list(added.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "models.not_onnx"), (b"\xff" * 100, "models.not_onnx"), (b"PK\x03\x04 a zip", "models.not_onnx")],
)
def test_what_is_no_onnx_file_is_refused(added: Path, tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "best.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        add(path, added)
    assert refused.value.code == code
    with pytest.raises(ConfigError) as missing:
        add(tmp_path / "nowhere.onnx", added)
    assert missing.value.code == "models.file"


def test_metadata_is_read_and_never_run(added: Path, tmp_path: Path) -> None:
    """Names that are a program: `ast.literal_eval` refuses them, and the shapes have to do."""
    path = edited(EXPORTS / "yolov8.onnx", tmp_path, impossible_names)
    try:
        done = add(path, added)
    except ConfigError as error:
        assert error.code.startswith("models.")
    else:
        assert "import" not in (done.folder / "labels.txt").read_text()


def endless() -> bytes:
    """A graph that would loop for hours on one picture."""
    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("MatMul", ["x", "x"], ["y"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 256, 256])],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 256, 256])],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "", "images"], ["looped"], body=step),
         helper.make_node("ReduceMean", ["looped"], ["output0"], axes=[2, 3], keepdims=0)],
        "endless",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 256, 256])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor("times", TensorProto.INT64, [], [2**40])],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return made.SerializeToString()


def test_a_model_that_hangs_is_given_up(added: Path, tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(endless())
    with pytest.raises(ConfigError) as refused:
        add(path, added, timeout_s=3.0)
    assert refused.value.code == "models.hangs"
    assert list(added.iterdir()) == []


def test_an_add_that_dies_between_leaves_no_model(added: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(adding, "_install", die)
    with pytest.raises(KeyboardInterrupt):
        add(EXPORTS / "yolov8.onnx", added)
    assert list(added.iterdir()) == []
    assert check([SHIPPED, added]) == []


# ---------------------------------------------------------------- served


Loaded = tuple[TritonClient, ModelSpec]


@pytest.fixture
def two_versions(
    load_served: Callable[[str], Loaded], added_models: Path
) -> Iterator[tuple[TritonClient, list[ModelSpec]]]:
    """`forklifts/1` and `forklifts/2`, added beside a running server that is not started anew."""
    load_served("tags")
    roots = [SHIPPED, added_models]
    names = ("forklifts", "yolov8"), ("forklifts", "yolov5")
    for version, (name, export) in enumerate(names, start=1):
        add_model(EXPORTS / f"{export}.onnx", roots=roots, added_dir=added_models, name=name, version=version)
    client, first = load_served("forklifts/1")
    yield client, [first, load_served("forklifts")[1]]
    for name in ("forklifts/1", "forklifts/2"):
        removal = plan_removal(name, roots)
        remove_model(removal)
        for folder in removal.folders:
            client.unload_model(folder.name)


@pytest.mark.real("triton")
@pytest.mark.real("samples")
def test_versions_side_by_side_in_one_job(
    two_versions: tuple[TritonClient, list[ModelSpec]], sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    client, specs = two_versions
    assert [spec.model_id for spec in specs] == ["forklifts/1", "forklifts/2"], "the slug alone is the highest version"
    video = sample_videos["bikes.mp4"]
    index = probe(video)
    chunk = chunks(index)[0]
    planned = frames_of_chunk(plan_frames(index, Fraction(2)), chunk)
    target = TritonTarget(client._target.url, True, 60.0, 2)
    receipt = infer_chunk(ChunkTask(
        job_id="j", video_id="v", path=str(video), stream=index.stream, chunk=chunk, planned=planned,
        first_pts=int(index.pts[0]), models=tuple(specs), lake_root=str(tmp_path), triton=target,
    ))  # fmt: skip
    assert [tally.model_id for tally in receipt.tallies] == ["forklifts/1", "forklifts/2"]
    assert [tally.n_gaps for tally in receipt.tallies] == [0, 0]
    models = []
    for spec in specs:
        paths = part_paths(Lake(tmp_path).parts_dir("v", spec.digest))
        rows = KINDS[spec.kind].concat([read_part(path).rows for path in paths])
        models.append(ModelResults(spec.model_id, spec.digest, planned, np.zeros(len(planned), np.float32), rows))
    out = assemble(
        video_id="v", size=index.stream.size, frame_offset=planned, time_offset_s=planned / 25, models=models,
        confidence=0.1,
    )  # fmt: skip
    assert set(out) == {"frame_offset", "time_offset", "forklifts", "forklifts/2"}
    assert json.dumps(out)


def test_no_test_here_left_a_process_behind() -> None:
    """Trials are leaders of their own groups; what they start ends with them."""
    runner = str(ROOT / "framehouse" / "inference" / "exports" / "trial_run.py")
    own = str(os.getpid())
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            assert not (runner in words and own in words), folder
