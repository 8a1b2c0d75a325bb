"""Models that are loaded when somebody first asks: ensembles, python models that call others, what cannot be loaded."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from framehouse.errors import ConfigError, InferenceError, ModelNotReady
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import TritonClient
from real_parts import require

pytestmark = pytest.mark.real("triton")

PORTS = """
input [ { name: "pixels" data_type: TYPE_UINT8 dims: [ -1 ] } ]
output [ { name: "more" data_type: TYPE_UINT8 dims: [ -1 ] } ]
version_policy { specific { versions: [ 1 ] } }
"""
ADD_ONE = """
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(r, "pixels").as_numpy()) for r in requests]
    def answer(self, pixels):
        return pb_utils.InferenceResponse([pb_utils.Tensor("more", pixels + 1)])
"""
CALLER = """
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(r, "pixels")) for r in requests]
    def answer(self, pixels):
        ask = pb_utils.InferenceRequest(model_name="add_one", requested_output_names=["more"], inputs=[pixels])
        once = pb_utils.get_output_tensor_by_name(ask.exec(), "more").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("more", once * 2)])
"""
ENSEMBLE = """
platform: "ensemble"
ensemble_scheduling { step [ {
  model_name: "add_one" model_version: 1
  input_map { key: "pixels" value: "pixels" } output_map { key: "more" value: "more" }
} ] }
"""


def write_model(root: Path, name: str, config: str, code: str = "") -> None:
    (root / name / "1").mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(f'name: "{name}"\n{config}')
    if code:
        (root / name / "1" / "model.py").write_text(code)


@pytest.fixture(scope="module")
def server(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server that loads only its self-test, and two repositories."""
    first, second = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("added")
    shutil.copytree(checkout / "triton_models" / "selftest", first / "selftest")
    write_model(first, "add_one", 'backend: "python"' + PORTS, ADD_ONE)
    write_model(first, "ensemble", ENSEMBLE + PORTS)
    calls = 'parameters { key: "calls" value: { string_value: "add_one:1" } }'
    write_model(second, "caller", 'backend: "python"' + PORTS + calls, CALLER)
    write_model(second, "broken", 'backend: "python"' + PORTS, "raise ValueError('a model that cannot be loaded')")
    try:
        python = ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    with TritonServer(python, [first, second], work_dir=tmp_path_factory.mktemp("triton"), models=[]) as started:
        yield started


@pytest.fixture
def client(server: TritonServer) -> Iterator[TritonClient]:
    made = TritonClient(TritonTarget(server.url, shared_memory=False, request_timeout_s=20.0, in_flight=2))
    for model in ("ensemble", "caller", "add_one"):
        made.unload_model(model)
    yield made
    made.close()


def ready(client: TritonClient) -> list[str]:
    return sorted(model.name for model in client.index() if model.state == "READY" and model.name != "selftest")


def test_only_the_self_test_is_loaded_at_the_start(client: TritonClient) -> None:
    assert ready(client) == []
    assert client.model_ready("selftest")


@pytest.mark.parametrize(("steps", "factor"), [(("add_one", "ensemble"), 1), (("add_one", "caller"), 2)])
def test_steps_are_loaded_first_and_the_model_answers(
    client: TritonClient, steps: tuple[str, ...], factor: int
) -> None:
    client.ensure_loaded(steps)
    assert ready(client) == sorted(steps)
    answer = client.infer(steps[-1], {"pixels": np.array([1, 2, 3], np.uint8)})
    assert answer["more"].tolist() == [2 * factor, 3 * factor, 4 * factor]
    client.ensure_loaded(steps)  # twice is fine


def test_what_was_unloaded_comes_back(client: TritonClient) -> None:
    client.ensure_loaded(("add_one",))
    client.unload_model("add_one")
    with pytest.raises(ModelNotReady):
        client.infer("add_one", {"pixels": np.zeros(1, np.uint8)})
    client.ensure_loaded(("add_one",))
    assert client.infer("add_one", {"pixels": np.zeros(1, np.uint8)})["more"].tolist() == [1]


@pytest.mark.parametrize(("model", "why"), [("broken", "cannot be loaded"), ("nowhere", "failed to poll")])
def test_a_model_that_cannot_be_loaded_says_why_and_is_not_retried(client: TritonClient, model: str, why: str) -> None:
    with pytest.raises(InferenceError, match=why) as refused:
        client.ensure_loaded(("add_one", model))
    assert (refused.value.code, refused.value.retryable) == ("inference.model_broken", False)
    assert ready(client) == ["add_one"]


def test_the_steps_of_a_python_model_are_in_its_spec_and_digest(checkout: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_model(models, "add_one", 'backend: "python"' + PORTS, ADD_ONE)
    calls = 'parameters { key: "calls" value: { string_value: "add_one:1" } }'
    write_model(models, "caller", 'backend: "python"' + PORTS + calls, CALLER)
    card = (checkout / "triton_models" / "detector" / "card.toml").read_text()
    card = card[: card.index("[[weights]]")].replace('labels = "labels.txt"', "").replace("n_classes = 80", "")
    (models / "caller" / "card.toml").write_text(card)
    spec = resolve(load_specs([models]), "detector")
    assert spec.steps == ("add_one", "caller")
    code = models / "add_one" / "1" / "model.py"
    code.write_text(code.read_text().replace("+ 1", "+ 2"))
    assert resolve(load_specs([models]), "detector").digest != spec.digest


def test_loading_does_not_disturb_what_runs(client: TritonClient, server: TritonServer) -> None:
    client.ensure_loaded(("add_one",))
    futures = [client.submit("add_one", {"pixels": np.full(1000, i, np.uint8)}) for i in range(2)]
    client.ensure_loaded(("ensemble", "caller"))
    assert [future.result().outputs["more"][0] for future in futures] == [1, 2]
    with urllib.request.urlopen(f"http://127.0.0.1:{server.ports.http}/v2/models/caller") as answer:  # type: ignore[union-attr]
        assert json.load(answer)["name"] == "caller"


def test_two_who_ask_at_once_both_get_it(client: TritonClient, server: TritonServer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    target = TritonTarget(server.url, shared_memory=False, request_timeout_s=20.0, in_flight=2)
    clients = [TritonClient(target) for _ in range(4)]
    ask: Callable[[TritonClient], None] = lambda one: one.ensure_loaded(("add_one", "caller"))  # noqa: E731
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, clients))
    assert ready(client) == ["add_one", "caller"]
    for one in clients:
        assert one.infer("caller", {"pixels": np.ones(1, np.uint8)})["more"].tolist() == [4]
        one.close()
