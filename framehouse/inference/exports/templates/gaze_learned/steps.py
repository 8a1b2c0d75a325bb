"""What a python model asks of other models of its server, and how it answers; shared by the models of gaze."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils
from crops import letterbox, placed


class Steps:
    """The models that the parameter `calls` names (`faces:1 gaze_mesh:1`), each at its version."""

    def __init__(self, parameters):
        calls = [call.split(":") for call in parameters["calls"].split()]
        self.names = [model for model, _ in calls]
        self.rows_per_call = int(parameters["rows_per_call"])
        self.faces_side = int(parameters["faces_side"])
        self.floor = np.float32(parameters["confidence_floor"])
        self._versions = {model: int(version) for model, version in calls}

    def ask(self, model, image, *outputs):
        """Outputs of a model for the batch `image` [N, ...], N > 0, in the order of their names."""
        starts = range(0, len(image), self.rows_per_call)
        answers = [self._ask(model, image[start : start + self.rows_per_call], outputs) for start in starts]
        return [np.concatenate(pieces) for pieces in zip(*answers, strict=True)]

    def faces(self, pictures):
        """Faces of pictures [N, height, width, 3]: whose they are [F], boxes [F, 4], scores [F], landmarks [F, 6, 2].

        By picture, then falling score; in pixels of the pictures. Nothing below the floor.
        """
        squares, backs = zip(*(letterbox(picture, self.faces_side) for picture in pictures), strict=True)
        names = ("boxes", "scores", "landmarks", "count")
        boxes, scores, landmarks, count = self.ask(self.names[0], np.stack(squares), *names)
        owner, place = np.nonzero((np.arange(scores.shape[1]) < count) & (scores >= self.floor))
        points = np.concatenate([boxes.reshape(*scores.shape, 2, 2), landmarks], axis=2)[owner, place]
        points = placed(points.astype(np.float64), np.stack(backs)[owner])
        return owner, points[:, :2].reshape(-1, 4), scores[owner, place], points[:, 2:]

    def _ask(self, model, image, outputs):
        response = pb_utils.InferenceRequest(
            model_name=model,
            model_version=self._versions[model],
            inputs=[pb_utils.Tensor("image", image)],
            requested_output_names=list(outputs),
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        ).exec()
        if response.has_error():
            raise pb_utils.TritonModelException(f"{model}: {response.error().message()}")
        return [pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in outputs]


def parameters_of(arguments):
    """The parameters of the configuration, by name."""
    found = json.loads(arguments["model_config"])["parameters"]
    return {key: value["string_value"] for key, value in found.items()}


def responses(requests, answer):
    """One response per request: what `answer` makes of its `image`, tensors by name, or an error of its own."""
    return [_response(request, answer) for request in requests]


def by_picture(n_pictures, owner, **rows):
    """Rows [F, ...] as float32 lists per picture [N, K, ...], K the longest one but at least 1, and their `count`."""
    count = np.bincount(owner, minlength=n_pictures)
    place = np.arange(len(owner)) - (np.cumsum(count) - count)[owner]
    lists = {"count": count.astype(np.int32)[:, None]}
    for name, values in rows.items():
        lists[name] = np.zeros((n_pictures, max(1, count.max()), *values.shape[1:]), np.float32)
        lists[name][owner, place] = values
    return lists


def _response(request, answer):
    try:
        tensors = answer(pb_utils.get_input_tensor_by_name(request, "image").as_numpy())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this request's alone
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
    wanted = request.requested_output_names()
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, tensors[name]) for name in wanted])
