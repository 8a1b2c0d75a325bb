"""Greedy non-maximum suppression over all classes together, as NudeNet's own package does it.

Input `candidates`, float32 [N, C, 6]: x1, y1, x2, y2, score, class, by falling score. Outputs of fixed size:
`boxes` [N, K, 4] cut to the picture, `scores` [N, K], `classes` int32 [N, K], `count` int32 [N, 1].
"""

import json

import numpy as np
import triton_python_backend_utils as pb_utils
from suppression import kept


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        values = {key: float(value["string_value"]) for key, value in parameters.items()}
        self.floor = np.float32(values["confidence_floor"])
        self.iou_threshold = np.float32(values["iou_threshold"])
        self.side, self.n_rows = np.float32(values["input_side"]), int(values["most_boxes"])

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        candidates = pb_utils.get_input_tensor_by_name(request, "candidates").as_numpy()
        n_pictures, n_rows = len(candidates), self.n_rows
        boxes = np.zeros((n_pictures, n_rows, 4), np.float32)
        scores = np.zeros((n_pictures, n_rows), np.float32)
        classes = np.zeros((n_pictures, n_rows), np.int32)
        count = np.zeros((n_pictures, 1), np.int32)
        for i, rows in enumerate(candidates):
            best = rows[rows[:, 4] >= self.floor]
            best[:, :4] = best[:, :4].clip(0, self.side)
            best = best[kept(best[:, :4], self.iou_threshold)][:n_rows]
            n = len(best)
            boxes[i, :n], scores[i, :n], classes[i, :n], count[i] = best[:, :4], best[:, 4], best[:, 5], n
        outputs = {"boxes": boxes, "scores": scores, "classes": classes, "count": count}
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, outputs[name]) for name in wanted])
