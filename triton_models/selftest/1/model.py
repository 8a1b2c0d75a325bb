"""Echo of two tensors, and their sums as numpy sees them."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        floats = pb_utils.get_input_tensor_by_name(request, "floats").as_numpy()
        pixels = pb_utils.get_input_tensor_by_name(request, "pixels").as_numpy()
        sums = np.array([floats.sum(dtype=np.float64), pixels.sum(dtype=np.float64)])
        outputs = {"same_floats": floats, "same_pixels": pixels, "sums": sums}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
