"""The model repository that ships: its files fit each other, and a fault in any of them is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from framehouse.errors import ConfigError
from framehouse.inference.cards import load_cards
from framehouse.inference.model_config import ensemble_steps, parameters
from framehouse.inference.pbtxt import parse
from framehouse.inference.repository import check, load_specs, resolve
from framehouse.inference.zoo import RECIPES
from framehouse.video.framing import stretched


@pytest.fixture
def repository(checkout: Path, tmp_path: Path) -> Path:
    """A copy to spoil: the detector and its steps stand for all."""
    for name in ("detector", "detector_network", "detector_nms", "selftest"):
        shutil.copytree(checkout / "triton_models" / name, tmp_path / "models" / name)
    return tmp_path / "models"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def test_nothing_is_wrong_with_what_ships(checkout: Path) -> None:
    assert check([checkout / "triton_models"]) == []


def test_the_detector_is_what_its_clients_expect(checkout: Path) -> None:
    spec = resolve(load_specs([checkout / "triton_models"]), "detector")
    assert (spec.model_id, spec.family, spec.kind) == ("detector/1", "detector", "detections")
    assert (spec.triton_model, spec.triton_version) == ("detector", "1")
    assert (spec.framing, spec.confidence_floor) == (stretched((512, 512)), 0.1)
    assert len(spec.labels) == 80
    assert (spec.labels[0], spec.labels[2], spec.labels[79]) == ("person", "car", "toothbrush")


def test_all_weights_have_a_card_a_notice_and_a_recipe(checkout: Path) -> None:
    models = checkout / "triton_models"
    cards = load_cards([models]).values()
    listed = {weights.file for card in cards for weights in card.weights}
    assert listed == {path.relative_to(models).as_posix() for path in models.glob("*/*/*.onnx")}
    notice = (checkout / "NOTICE").read_text()
    for file in listed:
        assert f"triton_models/{file}" in notice
    for card in cards:
        for weights in card.weights:
            if weights.rebuild:
                assert RECIPES[weights.rebuild].target == weights.file
            else:  # trained here: the origin begins with the script that does it
                assert (checkout / weights.origin.split()[0].rstrip(",:")).exists()


def test_the_configurations_are_what_triton_reads(checkout: Path) -> None:
    """Our reader against protobuf's own, with Triton's schema."""
    for path in (checkout / "triton_models").glob("*/config.pbtxt"):
        ours, theirs = parse(path.read_text()), text_format.Parse(path.read_text(), ModelConfig())
        for side in ("input", "output"):
            found = [(p["name"][0], DataType.Value(p["data_type"][0]), p["dims"]) for p in ours[side]]
            assert found == [(port.name, port.data_type, list(port.dims)) for port in getattr(theirs, side)]
        assert ours["max_batch_size"] == [theirs.max_batch_size]
        assert ours["version_policy"][0]["specific"][0]["versions"] == list(theirs.version_policy.specific.versions)
        assert parameters(ours) == {key: value.string_value for key, value in theirs.parameters.items()}
        steps = [(step["model_name"][0], step["model_version"][0]) for step in ensemble_steps(ours)]
        assert steps == [(step.model_name, step.model_version) for step in theirs.ensemble_scheduling.step]


def drop_a_label(models: Path) -> None:
    edit(models / "detector" / "labels.txt", "toothbrush\n", "")


def repeat_a_label(models: Path) -> None:
    edit(models / "detector" / "labels.txt", "toothbrush", "person")


def change_a_byte_of_the_weights(models: Path) -> None:
    file = models / "detector_network" / "1" / "model.onnx"
    model = onnx.load(file)
    model.producer_name = "somebody"
    onnx.save(model, file)


def newer_format(models: Path) -> None:
    file = models / "detector_network" / "1" / "model.onnx"
    model = onnx.load(file)
    model.ir_version = 10
    onnx.save(model, file)


def break_the_weights(models: Path) -> None:
    (models / "detector_network" / "1" / "model.onnx").write_bytes(b"\xff\xff nothing")


def fixed_batch(models: Path) -> None:
    file = models / "detector_network" / "1" / "model.onnx"
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, file)


FAULTS: list[tuple[Callable[[Path], None], str, str]] = [
    (drop_a_label, "detector", "79 labels"),
    (repeat_a_label, "detector", "79 different"),
    (change_a_byte_of_the_weights, "detector", "sha256"),
    (newer_format, "detector_network", "IR 10"),
    (break_the_weights, "detector_network", "cannot be read"),
    (fixed_batch, "detector_network", "input image is"),
    (lambda m: (m / "detector_network/1/model.onnx").unlink(), "detector_network", "no model.onnx"),
    (lambda m: (m / "detector_nms/1/model.py").unlink(), "detector_nms", "no model.py"),
    (lambda m: shutil.rmtree(m / "detector_nms/1"), "detector_nms", "no version folder"),
    (lambda m: shutil.rmtree(m / "detector_nms"), "detector", "step detector_nms is not in the repository"),
    (lambda m: edit(m / "detector_nms/config.pbtxt", "detector_nms", "nms"), "detector_nms", "names it 'nms'"),
    (lambda m: edit(m / "detector_nms/config.pbtxt", "{ name:", "{ name"), "detector_nms", ""),
    (lambda m: edit(m / "detector_nms/config.pbtxt", '"python"', '"perl"'), "detector_nms", "unknown backend 'perl'"),
    (lambda m: edit(m / "detector_nms/config.pbtxt", "input [", "input [ ["), "detector_nms", "line"),
    (lambda m: edit(m / "detector_network/config.pbtxt", "UINT8", "FP32"), "detector_network", "input image is"),
    (lambda m: edit(m / "detector_network/config.pbtxt", "100, 6", "6, 100"), "detector_network", "output candidates"),
    (lambda m: edit(m / "detector_network/config.pbtxt", '"image"', '"frame"'), "detector_network", "frame is not in"),
    (lambda m: edit(m / "detector_nms/config.pbtxt", "100, 6", "50, 6"), "detector", "takes candidates as"),
    (lambda m: edit(m / "detector_nms/config.pbtxt", '"boxes"', '"Boxes"'), "detector_nms", "lower-case"),
    (lambda m: edit(m / "detector/config.pbtxt", "model_version: 1", "model_version: -1"), "detector", "pinned"),
    (lambda m: edit(m / "detector/config.pbtxt", "model_version: 1", "model_version: 7"), "detector", "pinned"),
    (lambda m: edit(m / "detector/config.pbtxt", "[ 100, 4 ]", "[ 100, 5 ]"), "detector", "output boxes"),
    (lambda m: edit(m / "detector/config.pbtxt", 'map { key: "count"', 'map { key: "n"'), "detector", "no output n"),
    (lambda m: edit(m / "detector/card.toml", "max_batch = 1", "max_batch = 64"), "detector", "max_batch 64"),
    (lambda m: edit(m / "detector/card.toml", "width = 512", "width = 640"), "detector", "640 x 512"),
    (lambda m: edit(m / "detector/card.toml", 'family = "detector"', 'family = "owl"'), "detector", "family 'owl'"),
    (lambda m: edit(m / "detector/card.toml", "kind =", "sort ="), "detector", "kind"),
    (lambda m: edit(m / "detector/card.toml", "slug =", "slug"), "detector", "card.toml"),
]


@pytest.mark.parametrize(("spoil", "model", "message"), FAULTS, ids=[str(number) for number in range(len(FAULTS))])
def test_a_fault_is_found(repository: Path, spoil: Callable[[Path], None], model: str, message: str) -> None:
    spoil(repository)
    findings = check([repository])
    if message:
        assert any(found.model == model and message in found.message for found in findings), findings
    else:
        assert findings == []  # the text format allows it: a control that edits alone raise nothing


# ---------------------------------------------------------------- the digest

SAME: list[Callable[[Path], object]] = [
    lambda m: edit(m / "detector_network/config.pbtxt", "count: 2", "count: 8"),
    lambda m: edit(
        m / "detector_network/config.pbtxt", '_count" value: { string_value: "1"', '_count" value: { string_value: "4"'
    ),
    lambda m: edit(m / "detector_nms/config.pbtxt", "# Non-maximum", "# non-maximum"),
    lambda m: edit(m / "detector/card.toml", "max_batch = 1", "max_batch = 8"),
    lambda m: edit(m / "detector/README.md", "detector", "Detector"),
    lambda m: (m / "detector_nms" / "1" / "model.py").touch(),
    lambda m: (m / "detector_nms" / "1" / "model.cpython-311.pyc").write_bytes(b"compiled"),
]
OTHER: list[Callable[[Path], None]] = [
    lambda m: edit(m / "detector_nms/config.pbtxt", '"0.5"', '"0.6"'),
    lambda m: edit(m / "detector_nms/config.pbtxt", '"0.1"', '"0.2"'),
    lambda m: edit(m / "detector_nms/1/model.py", "np.triu(rivals, 1)", "np.triu(rivals, 2)"),
    lambda m: edit(m / "detector/labels.txt", "person", "human"),
    change_a_byte_of_the_weights,
]


@pytest.mark.parametrize("change", SAME, ids=[f"same{number}" for number in range(len(SAME))])
def test_the_digest_does_not_see_what_shapes_no_number(
    repository: Path, checkout: Path, change: Callable[[Path], None]
) -> None:
    change(repository)
    shipped, moved = (load_specs([path])["detector/1"].digest for path in (checkout / "triton_models", repository))
    assert moved == shipped


@pytest.mark.parametrize("change", OTHER, ids=[f"other{number}" for number in range(len(OTHER))])
def test_the_digest_sees_what_does(repository: Path, change: Callable[[Path], None]) -> None:
    before = load_specs([repository])["detector/1"].digest
    change(repository)
    assert load_specs([repository])["detector/1"].digest != before


def test_the_digest_sees_the_adapter(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_specs([repository])["detector/1"].digest
    monkeypatch.setattr("framehouse.inference.adapters.detector.VERSION", 99)
    assert load_specs([repository])["detector/1"].digest != before


# ---------------------------------------------------------------- names


def test_a_slug_alone_means_the_highest_version(repository: Path) -> None:
    edit(
        repository / "detector/card.toml",
        "[[versions]]",
        '[[versions]]\nversion = "10"\ntriton_version = "1"\n[[versions]]',
    )
    specs = load_specs([repository])
    assert sorted(specs) == ["detector/1", "detector/10"]
    assert resolve(specs, "detector").version == "10"
    assert resolve(specs, "detector/1").version == "1"


@pytest.mark.parametrize("name", ["", "detector/3", "Detector", "dog"])
def test_an_unknown_name_lists_the_known_ones(checkout: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"known: .*detector/1") as refused:
        resolve(load_specs([checkout / "triton_models"]), name)
    assert refused.value.code == "config.unknown_model"


def test_two_cards_may_not_offer_the_same_version(repository: Path) -> None:
    shutil.copytree(repository / "detector", repository / "detector.v2")
    with pytest.raises(ConfigError, match="detector/1 is offered by two cards"):
        load_specs([repository])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for read in (load_specs, check):
        with pytest.raises(ConfigError) as refused:
            read([tmp_path / "nowhere"])
        assert refused.value.code == "triton.repository"
    assert load_specs([tmp_path]) == {}
    assert check([tmp_path]) == []


# ---------------------------------------------------------------- suppression, as the shipped step does it


@pytest.fixture(scope="module")
def suppression(checkout: Path) -> dict[str, Callable[..., np.ndarray]]:
    """The functions of detector_nms/1/model.py, read without Triton's own module."""
    source = (checkout / "triton_models/detector_nms/1/model.py").read_text()
    names: dict[str, Callable[..., np.ndarray]] = {}
    exec(compile(source.replace("import triton_python_backend_utils as pb_utils", ""), "model.py", "exec"), names)
    return names


def one_by_one(boxes: np.ndarray, classes: np.ndarray, threshold: float) -> list[bool]:
    stays: list[bool] = []
    for i in range(len(boxes)):
        rivals = [j for j in range(i) if stays[j] and classes[i] == classes[j]]
        stays.append(all(iou(boxes[i], boxes[j]) <= threshold for j in rivals))
    return stays


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / max((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common, 1e-9)


@pytest.mark.parametrize("n", [0, 1, 2, 30, 100])
def test_suppression_is_greedy_by_class(suppression: dict[str, Callable[..., np.ndarray]], n: int) -> None:
    random = np.random.default_rng(n)
    corner = random.uniform(0, 60, (n, 2))
    boxes = np.hstack([corner, corner + random.uniform(5, 60, (n, 2))]).astype(np.float32)
    classes = random.integers(0, 3, n).astype(np.float32)
    stays = suppression["kept"](boxes, classes, np.float32(0.5))
    assert stays.tolist() == one_by_one(boxes.astype(np.float64), classes, 0.5)
    assert n < 30 or 0 < stays.sum() < n


def test_a_box_without_area_harms_nobody(suppression: dict[str, Callable[..., np.ndarray]]) -> None:
    boxes = np.float32([[1, 1, 1, 1], [5, 5, 3, 3], [0, 0, 9, 9], [1, 1, 1, 1]])
    assert suppression["kept"](boxes, np.zeros(4, np.float32), np.float32(0.5)).all()
