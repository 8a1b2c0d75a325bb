"""Weighted non-maximum suppression, as MediaPipe does it for faces.

Input `candidates`, float32 [N, 256, 17] by falling score: x1, y1, x2, y2, score, six points. The best candidate and all
that overlap with it become one face: their mean, weighted by score, with the best score; then the best of the rest, and
so on. Outputs of fixed size: `boxes` [N, 64, 4], `scores` [N, 64], `landmarks` [N, 64, 6, 2], `count` int32 [N, 1].
"""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

N_FACES = 64


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self.floor = np.float32(parameters["confidence_floor"]["string_value"])
        self.iou_threshold = np.float32(parameters["iou_threshold"]["string_value"])

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        candidates = pb_utils.get_input_tensor_by_name(request, "candidates").as_numpy()
        n_pictures = len(candidates)
        faces = np.zeros((n_pictures, N_FACES, candidates.shape[2]), np.float32)
        count = np.zeros((n_pictures, 1), np.int32)
        for i, rows in enumerate(candidates):
            found = merged(rows[rows[:, 4] >= self.floor], self.iou_threshold)[:N_FACES]
            faces[i, : len(found)], count[i] = found, len(found)
        outputs = {
            "boxes": faces[:, :, :4],
            "scores": faces[:, :, 4],
            "landmarks": faces[:, :, 5:].reshape(n_pictures, N_FACES, -1, 2),
            "count": count,
        }
        wanted = request.requested_output_names()
        tensors = [pb_utils.Tensor(name, np.ascontiguousarray(outputs[name])) for name in wanted]
        return pb_utils.InferenceResponse(tensors)


def merged(rows, iou_threshold):
    """One row a face, float32 [F, 17] by falling score, of candidates [N, 17] by falling score."""
    faces = []
    while len(rows):
        joins = overlap(rows[0], rows) > iou_threshold
        joins[0] = True
        weights = rows[joins, 4:5]
        face = (rows[joins] * weights).sum(axis=0) / weights.sum()
        face[4] = rows[0, 4]
        faces.append(face)
        rows = rows[~joins]
    return np.array(faces, np.float32).reshape(-1, rows.shape[1])


def overlap(one, rows):
    """Intersection over union of a box with each, [N]."""
    low, high = np.maximum(one[:2], rows[:, :2]), np.minimum(one[2:4], rows[:, 2:4])
    common = np.maximum(high - low, 0).prod(axis=1)
    area = np.maximum(rows[:, 2:4] - rows[:, :2], 0).prod(axis=1)
    own = np.maximum(one[2:4] - one[:2], 0).prod()
    return common / np.maximum(own + area - common, np.float32(1e-9))
