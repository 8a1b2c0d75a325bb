"""Configurations for other machines: made from config.pbtxt, and no more than another way to run it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from framehouse.config import ROOT
from framehouse.errors import ConfigError
from framehouse.inference.model_config import accelerators
from framehouse.inference.pbtxt import parse
from framehouse.inference.profiles import BATCHED, PROFILES, profile_findings, profile_text, write_profiles
from framehouse.inference.repository import load_specs
from framehouse.repositories import Repositories

MODELS = ROOT / "triton_models"
NETWORK = (MODELS / "detector_network" / "config.pbtxt").read_text()


def group(profile: str, config: str = NETWORK) -> tuple[object, object]:
    (found,) = parse(profile_text(config, profile))["instance_group"]
    return found["count"][0], found["kind"][0]


@pytest.mark.parametrize(
    ("profile", "instances", "joins", "by"),
    [
        ("cpu", (4, "KIND_CPU"), False, []),
        ("cpu-batched", (2, "KIND_CPU"), True, []),
        ("cpu-openvino", (4, "KIND_CPU"), False, ["openvino"]),
        ("gpu", (2, "KIND_GPU"), True, []),
        ("gpu-fp16", (2, "KIND_GPU"), True, ["tensorrt"]),
    ],
)
def test_a_profile_says_how_a_network_is_run(
    profile: str, instances: tuple[int, str], joins: bool, by: list[str]
) -> None:
    made = parse(profile_text(NETWORK, profile))
    assert group(profile) == instances
    assert ("dynamic_batching" in made) == joins
    assert [entry["name"][0] for entry in accelerators(made)] == by


def test_cuda_computes_in_full_precision() -> None:
    assert '"use_tf32" value: "0"' in profile_text(NETWORK, "gpu")


def test_joined_requests_have_levels_and_texts_a_cache() -> None:
    made = parse(profile_text(NETWORK, BATCHED))
    (queue,) = made["dynamic_batching"]
    assert (queue["priority_levels"], queue["default_priority_level"]) == ([3], [2])
    assert queue["default_queue_policy"][0]["timeout_action"] == ["REJECT"]
    assert "response_cache" not in made, "no picture comes twice"
    text = parse(profile_text((MODELS / "clip_text" / "config.pbtxt").read_text(), BATCHED))
    assert text["response_cache"] == [{"enable": [True]}]
    alone = NETWORK.replace("max_batch_size: 8", "max_batch_size: 0")
    assert "dynamic_batching" not in parse(profile_text(alone, BATCHED))


def test_tensorrt_is_told_the_shapes_that_come() -> None:
    text = profile_text(NETWORK, "gpu-fp16")
    assert '"trt_profile_min_shapes" value: "image:1x512x512x3"' in text
    assert '"trt_profile_max_shapes" value: "image:8x512x512x3"' in text


@pytest.mark.parametrize("profile", PROFILES)
def test_python_stays_on_the_cpu_and_an_ensemble_as_it_is(profile: str) -> None:
    steps = (MODELS / "detector_nms" / "config.pbtxt").read_text()
    assert group(profile, steps) == (1 if profile == BATCHED else 2, "KIND_CPU")
    assert "dynamic_batching" not in profile_text(steps, profile)
    assert "optimization" not in profile_text(steps, profile)
    assert profile_text((MODELS / "detector" / "config.pbtxt").read_text(), profile) == ""


def test_what_it_says_of_batching_goes() -> None:
    assert "No dynamic batching" in NETWORK
    assert "No dynamic batching" not in profile_text(NETWORK, "gpu")
    assert "model_warmup" in profile_text(NETWORK, "gpu")


def test_a_configuration_without_instances_is_refused() -> None:
    with pytest.raises(ConfigError, match="instance_group"):
        profile_text('backend: "python"\n', "cpu")


def test_the_committed_files_are_the_ones_that_the_script_makes() -> None:
    expected = {
        config.parent / "configs" / f"{profile}.pbtxt": text
        for config in MODELS.glob("*/config.pbtxt")
        for profile in PROFILES
        if config.parent.name != "selftest" and (text := profile_text(config.read_text(), profile))
    }
    assert len(expected) > 40
    assert {path: path.read_text() for path in MODELS.glob("*/configs/*")} == expected, "scripts/triton_profiles.py"


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("TYPE_UINT8", "TYPE_FP32", "configs/cpu.pbtxt: input is not config.pbtxt's"),
        ("max_batch_size: 8", "max_batch_size: 4", "configs/cpu.pbtxt: max_batch_size is not config.pbtxt's"),
        ("{ count", "{ count:", "configs/cpu.pbtxt: "),
        ("session.intra_op.allow_spinning", "confidence_floor", "configs/cpu.pbtxt: parameter confidence_floor is not"),
        ("count: 4", "count: 9", ""),
    ],
)
def test_what_would_change_more_is_found(tmp_path: Path, old: str, new: str, finding: str) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "cpu.pbtxt").write_text(profile_text(NETWORK, "cpu").replace(old, new))
    found = list(profile_findings(tmp_path, parse(NETWORK)))
    assert [text[: len(finding)] for text in found] == ([finding] if finding else [])


# ---------------------------------------------------------------- the digest


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("detector", "detector_network", "detector_nms"):
        shutil.copytree(MODELS / name, tmp_path / "models" / name)
    return tmp_path / "models"


def digest(repository: Path, config_name: str = "") -> str:
    return load_specs(Repositories.of(repository, config_name=config_name))["detector/1"].digest


def test_other_instances_give_the_same_rows(repository: Path) -> None:
    """A lake made on one machine is not owed again on a larger one."""
    plain = digest(repository)
    assert plain == load_specs([repository])["detector/1"].digest
    assert {digest(repository, name) for name in ("cpu", BATCHED, "gpu", "nowhere")} == {plain}


def test_half_precision_is_another_model(repository: Path) -> None:
    digests = {digest(repository, name) for name in ("", "gpu-fp16", "cpu-openvino")}
    assert len(digests) == 3


def test_what_is_pulled_can_have_them_too(tmp_path: Path) -> None:
    """Every config.pbtxt that `models pull` installs."""
    found = [*(ROOT / "framehouse" / "inference" / "manifest").rglob("*.pbtxt")]
    assert len(found) >= 8
    for number, path in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(path, folder / "config.pbtxt")
        write_profiles(folder)
        assert list(profile_findings(folder, parse(path.read_text()))) == []


def test_tensorrt_finds_free_shapes_itself() -> None:
    free = NETWORK.replace("dims: [ 512, 512, 3 ]", "dims: [ -1, -1, 3 ]")
    assert "trt_profile" not in profile_text(free, "gpu-fp16")
