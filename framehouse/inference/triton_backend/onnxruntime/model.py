"""The `onnxruntime` backend for a Triton server that has only the python backend.

Lies as `<backend-directory>/onnxruntime/model.py` beside `<backend-directory>/python/`. A model whose config.pbtxt says
`backend: "onnxruntime"` then loads here, and the same folder runs unchanged on a server with the native backend.
Runs inside Triton's own Python environment: it imports nothing of Framehouse.

What of the native backend's settings is understood: the parameters `intra_op_thread_count`, `inter_op_thread_count`,
`execution_mode` (0 sequential, 1 parallel), `enable_mem_arena`, `enable_mem_pattern`; the graph's optimization level
(`optimization { graph { level } }`); `default_model_filename`. Parameters named `session.…` go to the session as they
are (the native backend knows few of them and ignores the others). Always on the CPU, and by onnxruntime's own code: a
configuration that wants TensorRT or OpenVINO is refused, because its numbers would pass for theirs.

Requests are joined to one batch only where the configuration has `dynamic_batching`: without it, an answer never
depends on who else asks.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

_LEVELS = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_TRUE = ("1", "true", "on")
_ONNX_OF_TRITON = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
    "TYPE_STRING": "tensor(string)",
}


class TritonPythonModel:
    """One instance of one model, as the python backend calls it."""

    def initialize(self, args):
        """Load the file and compare it with the configuration; an exception here becomes the load error."""
        config = json.loads(args["model_config"])
        name = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / name
        if not path.is_file():
            raise pb_utils.TritonModelException(f"unable to find '{path}' for model '{args['model_name']}'")
        check_accelerators(args["model_name"], config)
        try:
            self.session = ort.InferenceSession(path, session_options(config), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise pb_utils.TritonModelException(f"onnxruntime cannot load '{path}': {error}") from error
        check_ports(args["model_name"], config["input"], self.session.get_inputs(), all_needed=True)
        check_ports(args["model_name"], config["output"], self.session.get_outputs(), all_needed=False)
        self.inputs = [port["name"] for port in config["input"]]
        self.texts = {port["name"] for port in config["input"] if port["data_type"] == "TYPE_STRING"}
        self.batches = bool(config.get("max_batch_size", 0)) and "dynamic_batching" in config

    def execute(self, requests):
        """One response per request, in order."""
        if self.batches and len(requests) > 1:
            together = self._run_together(requests)
            if together is not None:
                return together
        return [self._run_one(request) for request in requests]

    def finalize(self):
        """Let go of the session."""
        self.session = None

    def _run_one(self, request):
        try:
            names = list(request.requested_output_names())
            arrays = self.session.run(names, self._feeds(request))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this request's alone
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"onnxruntime: {error}"))
        return response(names, arrays)

    def _run_together(self, requests):
        """All requests as one batch; None when they do not go together, so that only the guilty one fails."""
        names = sorted({name for request in requests for name in request.requested_output_names()})
        try:
            feeds = [self._feeds(request) for request in requests]
            sizes = [len(feed[self.inputs[0]]) for feed in feeds]
            joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}
            arrays = dict(zip(names, self.session.run(names, joined), strict=True))
        except Exception:  # noqa: BLE001 - each is then run alone and reports its own
            return None
        if any(len(array) != sum(sizes) for array in arrays.values()):
            return None
        responses, start = [], 0
        for request, size in zip(requests, sizes, strict=True):
            wanted = list(request.requested_output_names())
            responses.append(response(wanted, [arrays[name][start : start + size] for name in wanted]))
            start += size
        return responses

    def _feeds(self, request):
        feeds = {}
        for name in self.inputs:
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            if tensor is not None:
                array = tensor.as_numpy()
                feeds[name] = as_text(array) if name in self.texts else array
        return feeds


def session_options(config):
    """Session options from a model's configuration."""
    parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    parallel = parameters.get("execution_mode", "0") == "1"
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL if parallel else ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = parameters.get("enable_mem_arena", "1").lower() in _TRUE
    options.enable_mem_pattern = parameters.get("enable_mem_pattern", "1").lower() in _TRUE
    level = config.get("optimization", {}).get("graph", {}).get("level", 0)
    options.graph_optimization_level = _LEVELS.get(int(level), ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    for key, value in parameters.items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value)
    return options


def check_accelerators(model, config):
    """Refuse a configuration whose numbers come from elsewhere."""
    wanted = config.get("optimization", {}).get("execution_accelerators", {})
    names = [entry["name"] for entries in wanted.values() for entry in entries if entry["name"] != "cuda"]
    if names:
        raise pb_utils.TritonModelException(f"model '{model}': this server has no {', '.join(names)}")


def check_ports(model, configured, real, all_needed):
    """Refuse a configuration that names other tensors or types than the file has."""
    types = {port.name: port.type for port in real}
    for port in configured:
        expected = _ONNX_OF_TRITON.get(port["data_type"])
        if types.get(port["name"]) != expected:
            raise pb_utils.TritonModelException(
                f"model '{model}': config.pbtxt has {port['name']} {port['data_type']}, the file has {types}"
            )
    missing = set(types) - {port["name"] for port in configured}
    if all_needed and missing:
        raise pb_utils.TritonModelException(f"model '{model}': config.pbtxt lacks the inputs {sorted(missing)}")


def response(names, arrays):
    """The answer to one request."""
    tensors = [pb_utils.Tensor(name, as_bytes(array)) for name, array in zip(names, arrays, strict=True)]
    return pb_utils.InferenceResponse(tensors)


def as_text(array):
    """Triton's BYTES are bytes objects, onnxruntime's strings are str."""
    return np.array([item.decode() for item in array.ravel()], dtype=object).reshape(array.shape)


def as_bytes(array):
    """The other way round; anything but strings is left as it is."""
    if array.dtype != object:
        return array
    return np.array([str(item).encode() for item in array.ravel()], dtype=object).reshape(array.shape)
