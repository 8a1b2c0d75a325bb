"""Lines of text in a picture: where they lie, which way up they are, what they say.

Asks `ocr_det`, `ocr_cls` and `ocr_rec`. One picture a request; `T` is the number of lines, at least 1 (an empty row):

    image           uint8 [1, H, W, 3], RGB
    texts           text [1, T]
    scores          float32 [1, T], mean probability of the signs
    polygons        float32 [1, T, 4, 2], input pixels, clockwise from the first letter's top left; may overhang
    count           int32 [1, 1], lines found; the rows from it on are empty

A line is read alone, at its own width: what stands beside it in a batch, or how much it is padded, would change what is
read (card.toml).
"""

import json

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils
from boxes import cut, find_boxes
from reading import joined, line_width, slips

_STRIDE = 32
_HEIGHT = 48
_SLIP_BATCH = 32


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        values = {key: value["string_value"] for key, value in parameters.items()}
        self.versions = {name: int(version) for name, version in (c.split(":") for c in values.pop("calls").split())}
        self.settings = {key: float(value) for key, value in values.items()}

        cv2.setNumThreads(1)

    def execute(self, requests):
        return [self._response(request) for request in requests]

    def _response(self, request):
        try:
            outputs = self._answer(pb_utils.get_input_tensor_by_name(request, "image").as_numpy()[0])
        except pb_utils.TritonModelException as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, outputs[name]) for name in wanted])

    def _answer(self, picture):
        lines = [line for line in map(self._read, *self._upright(picture)) if self._is_kept(line)]
        return as_tensors(lines)

    def _is_kept(self, line):
        return line[0] and line[1] >= self.settings["confidence_floor"]

    def _boxes(self, picture):
        """Boxes in input pixels, float32 [T, 4, 2]."""
        height, width = picture.shape[:2]
        size = self._detector_size(height, width)
        heat = self._ask("ocr_det", cv2.resize(picture, size)[None], "heat")[0]
        found = find_boxes(
            heat,
            threshold=self.settings["heat_threshold"],
            box_threshold=self.settings["box_threshold"],
            unclip_ratio=self.settings["unclip_ratio"],
            max_boxes=int(self.settings["max_lines"]),
        )
        return found * np.array([width / size[0], height / size[1]], np.float32)

    def _detector_size(self, height, width):
        """(width, height) that the detector sees: scaled into the two limits (the longer side's counts more)."""
        scale = max(1.0, self.settings["shortest_side"] / min(height, width))
        scale = min(scale, self.settings["longest_side"] / max(height, width))
        return tuple(int(np.ceil(max(1, round(side * scale)) / _STRIDE)) * _STRIDE for side in (width, height))

    def _upright(self, picture):
        """(pieces, boxes) of the lines, both turned where the classifier is sure that they are upside down."""
        boxes = self._boxes(picture)
        pieces = [cut(picture, box) for box in boxes]
        turned = []
        for start in range(0, len(pieces), _SLIP_BATCH):
            batch = slips(pieces[start : start + _SLIP_BATCH])
            turned.extend(self._ask("ocr_cls", batch, "upright")[:, 1] > self.settings["turn_above"])
        for i in np.flatnonzero(turned):
            pieces[i], boxes[i] = upside_down(pieces[i], boxes[i])
        return pieces, boxes

    def _read(self, piece, box):
        """(text, score, box) of a line; one that is hard to read is tried the other way up too."""
        text, score = self._text(piece)
        if score < self.settings["turn_below"]:
            other_piece, other_box = upside_down(piece, box)
            other_text, other_score = self._text(other_piece)
            if other_score > score:
                return other_text, other_score, other_box
        return text, score, box

    def _text(self, piece):
        line = cv2.resize(piece, (line_width(piece), _HEIGHT))
        letters, probabilities, spaces = self._ask("ocr_rec", line[None], "letters", "probabilities", "spaces")
        return joined([sign.decode() for sign in letters[0]], probabilities[0], spaces[0], self.settings["space_above"])

    def _ask(self, model, image, *names):
        """Outputs of another model, one array or several.

        Raises:
            pb_utils.TritonModelException: it says no.
        """
        request = pb_utils.InferenceRequest(
            model_name=model,
            model_version=self.versions[model],
            requested_output_names=list(names),
            inputs=[pb_utils.Tensor("image", np.ascontiguousarray(image))],
        )
        response = request.exec()
        if response.has_error():
            raise pb_utils.TritonModelException(f"{model}: {response.error().message()}")
        arrays = [pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in names]
        return arrays if len(arrays) > 1 else arrays[0]


def upside_down(piece, box):
    return np.ascontiguousarray(piece[::-1, ::-1]), np.roll(box, 2, axis=0)


def as_tensors(lines):
    n = len(lines)
    texts = np.array([text.encode() for text, _, _ in lines] or [b""], np.object_)
    scores, polygons = np.zeros(max(1, n), np.float32), np.zeros((max(1, n), 4, 2), np.float32)
    for i, (_, score, box) in enumerate(lines):
        scores[i], polygons[i] = score, box
    count = np.array([[n]], np.int32)
    return {"texts": texts[None], "scores": scores[None], "polygons": polygons[None], "count": count}
