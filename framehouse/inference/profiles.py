"""A model's configurations for other machines: `configs/<profile>.pbtxt`, which Triton takes for `--model-config-name`.

Such a file replaces config.pbtxt as a whole. So it is made from it, and may differ only in how the network is run: how
many instances on what, whether requests are joined, by which accelerator.

`cpu`           more instances of one thread each, for a server that has its cores to itself
`cpu-batched`   requests of several clients joined to batches, urgent ones first; texts answered from a cache
`cpu-openvino`  as `cpu`, through OpenVINO
`gpu`           CUDA in full precision, requests joined to batches
`gpu-fp16`      TensorRT in half precision; engines are kept in /engines
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from framehouse.errors import ConfigError
from framehouse.inference.model_config import CONFIG_NAME, CONFIGS_DIR, parameters, read_text
from framehouse.inference.pbtxt import Message, parse
from framehouse.results.files import write_whole

PROFILES = ("cpu", "cpu-batched", "cpu-openvino", "gpu", "gpu-fp16")
BATCHED = "cpu-batched"
RUNTIME_PARAMETERS = (
    *("intra_op_thread_count", "inter_op_thread_count", "execution_mode", "enable_mem_arena", "enable_mem_pattern"),
    *("share_session_between_instances", "FORCE_CPU_ONLY_INPUT_TENSORS", "EXECUTION_ENV_PATH"),
)
"""Parameters of a configuration that say how, not what."""
_MAY_DIFFER = ("instance_group", "dynamic_batching", "optimization", "model_warmup", "response_cache", "parameters")
_GROUP = re.compile(r"^instance_group \[.*\][ \t]*\n", re.MULTILINE)
_ABOUT_BATCHING = re.compile(r"^# No dynamic batching:(?:.*\n)(?:# .*\n)*", re.MULTILINE)
_HEAD = "# Made by scripts/triton_profiles.py from ../config.pbtxt, which says more.\n"
_BATCHING = """# Requests wait at most 2 ms to share a batch. The last digits of an answer may depend on its neighbours.
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 2000 }
"""
_QUEUED = """# Requests wait at most 5 ms to share a batch. Level 1 goes before 2, 2 before 3; 2 is the default.
# What has waited longer than its request allows is refused, not computed; a request can ask for less than the default.
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 5000
  priority_levels: 3
  default_priority_level: 2
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 600000000
    allow_timeout_override: true
    max_queue_size: 256
  }
}
"""
_RATE = ' rate_limiter { resources [ { name: "core" global: true count: 1 } ] }'
"""Counts where the server was started with --rate-limit=execution_count; else nothing."""
_CACHED = "# Texts come again; counts where the server was given a cache.\nresponse_cache { enable: true }\n"
_ACCELERATORS = """optimization { execution_accelerators {
  %s_execution_accelerator : [ {
    name : "%s"
%s  } ]
} }
"""


def profile_text(config: str, profile: str) -> str:
    """A profile's file for a model, from the text of its config.pbtxt; empty where the model runs as it is.

    Raises:
        ConfigError: `models.config`, it cannot be read, or has no instance_group on one line.

    >>> profile_text('platform: "ensemble"', "gpu")
    ''
    """
    message = parse(config)
    backend = message.get("backend", [""])[0]
    if backend not in ("onnxruntime", "python"):
        return ""
    on_gpu = profile.startswith("gpu") and backend == "onnxruntime"
    lines = _instances(message, profile, on_gpu)
    if backend == "onnxruntime":
        lines += (_BATCHING if on_gpu else "") + _accelerator(message, profile)
    if backend == "onnxruntime" and profile == BATCHED:
        lines += _QUEUED if int(message.get("max_batch_size", [0])[0]) > 1 else ""
        lines += _CACHED if "tokenizer" in parameters(message) else ""
    text, n_found = _GROUP.subn(lambda _: lines, _ABOUT_BATCHING.sub("", config), count=1)
    if n_found != 1:
        raise ConfigError("no instance_group on a line of its own", code="models.config")
    return _HEAD + text


def write_profiles(folder: Path) -> None:
    """Give a model folder the profiles that its config.pbtxt has; what is there already is written anew.

    Raises:
        ConfigError: as `profile_text`.
    """
    config = read_text(folder / CONFIG_NAME, code="models.config")
    for profile in PROFILES:
        if text := profile_text(config, profile):
            write_whole(folder / CONFIGS_DIR / f"{profile}.pbtxt", text.encode())


def profile_findings(folder: Path, config: Message) -> Iterator[str]:
    """What in a model's configs/ would change more than how it is run, or cannot be read.

    Args:
        folder: of the model.
        config: its config.pbtxt.
    """
    for path in sorted(folder.glob(f"{CONFIGS_DIR}/*.pbtxt")):
        name = f"{CONFIGS_DIR}/{path.name}"
        try:
            other = parse(read_text(path, code="models.config"))
        except ConfigError as error:
            yield f"{name}: {error.message}"
            continue
        fields = sorted((set(config) | set(other)) - set(_MAY_DIFFER))
        yield from (f"{name}: {key} is not {CONFIG_NAME}'s" for key in fields if other.get(key) != config.get(key))
        mine, its = shaping_parameters(config), shaping_parameters(other)
        yield from (
            f"{name}: parameter {key} is not {CONFIG_NAME}'s" for key in sorted(dict(mine.items() ^ its.items()))
        )


def shaping_parameters(config: Message) -> dict[str, str]:
    """A configuration's parameters without those that only say how the network is run."""
    return {
        key: value
        for key, value in parameters(config).items()
        if key not in RUNTIME_PARAMETERS and not key.startswith("session.")
    }


def _instances(config: Message, profile: str, on_gpu: bool) -> str:
    """Twice as many as on one machine with everything else, but only as many where requests are joined: what waits is
    what is joined. On a GPU two, so that one computes while one copies."""
    count = int(config.get("instance_group", [{}])[0].get("count", [1])[0])
    count = 2 if on_gpu else count if profile == BATCHED else 2 * count
    kind = "KIND_GPU" if on_gpu else "KIND_CPU"
    rate = _RATE if profile == BATCHED and config["backend"][0] == "onnxruntime" else ""
    return f"instance_group [ {{ count: {count} kind: {kind}{rate} }} ]\n"


def _accelerator(config: Message, profile: str) -> str:
    if profile == "gpu":  # TF32 has the range of 32 bits and the precision of 19
        return _ACCELERATORS % ("gpu", "cuda", _entries({"use_tf32": "0"}))
    if profile == "cpu-openvino":
        return _ACCELERATORS % ("cpu", "openvino", "")
    if profile == "gpu-fp16":
        known = all(int(dim) > 0 for port in config.get("input", []) for dim in port["dims"])
        batches = _batches(config) if known else {}
        shapes = {f"trt_profile_{kind}_shapes": _shapes(config, batch) for kind, batch in batches.items()}
        engines = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": "/engines"}
        return _ACCELERATORS % ("gpu", "tensorrt", _entries({"precision_mode": "FP16", **engines, **shapes}))
    return ""


def _entries(values: dict[str, str]) -> str:
    return "".join(f'    parameters {{ key: "{key}" value: "{value}" }}\n' for key, value in values.items())


def _batches(config: Message) -> dict[str, int]:
    largest = int(config.get("max_batch_size", [0])[0])
    return {"min": 1, "opt": max(1, largest // 2), "max": max(1, largest)}


def _shapes(config: Message, batch: int) -> str:
    """Shapes of all inputs as TensorRT's provider reads them: `image:8x512x512x3`."""
    ports = config.get("input", [])
    return ",".join(f"{port['name'][0]}:{'x'.join(map(str, [batch, *port['dims']]))}" for port in ports)
