"""Greedy non-maximum suppression per class.

Input `candidates`, float32 [N, 100, 6]: x1, y1, x2, y2, score, class, by falling score. Outputs of fixed size:
`boxes` [N, 100, 4] cut to the picture, `scores` [N, 100], `classes` int32 [N, 100], `count` int32 [N, 1].
"""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        values = {key: float(value["string_value"]) for key, value in parameters.items()}
        self.floor = np.float32(values["confidence_floor"])
        self.iou_threshold = np.float32(values["iou_threshold"])
        self.limits = np.array([values["input_width"], values["input_height"]] * 2, np.float32)

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        candidates = pb_utils.get_input_tensor_by_name(request, "candidates").as_numpy()
        n_pictures, n_rows, _ = candidates.shape
        boxes = np.zeros((n_pictures, n_rows, 4), np.float32)
        scores = np.zeros((n_pictures, n_rows), np.float32)
        classes = np.zeros((n_pictures, n_rows), np.int32)
        count = np.zeros((n_pictures, 1), np.int32)
        for i, rows in enumerate(candidates):
            best = rows[rows[:, 4] >= self.floor]
            best = best[kept(best[:, :4], best[:, 5], self.iou_threshold)]
            n = len(best)
            boxes[i, :n] = np.clip(best[:, :4], 0, self.limits)
            scores[i, :n], classes[i, :n], count[i] = best[:, 4], best[:, 5], n
        outputs = {"boxes": boxes, "scores": scores, "classes": classes, "count": count}
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, outputs[name]) for name in wanted])


def kept(boxes, classes, iou_threshold):
    """Which boxes stay, bool [N]; boxes are float32 [N, 4] by falling score, classes [N]."""
    rivals = (overlap(boxes) > iou_threshold) & (classes[:, None] == classes)
    stays = np.ones(len(boxes), bool)
    for i in np.flatnonzero(np.triu(rivals, 1).any(axis=1)):
        if stays[i]:
            stays[i + 1 :] &= ~rivals[i, i + 1 :]
    return stays


def overlap(boxes):
    """Intersection over union of each box with each, [N, N]; plane by plane, which is what numpy does fast."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    return common / np.maximum(area[:, None] + area - common, np.float32(1e-9))
