"""Where people look, as a learned network tells it: faces, and the network for each of them.

Input `image`, uint8 [N, height, width, 3] RGB. Outputs per picture, K rows of which the first `count` int32 [N, 1] are
filled: `boxes` float32 [N, K, 4] (x1, y1, x2, y2) and `landmarks` [N, K, 6, 2] in pixels of the picture, not cut to it;
`scores` [N, K], falling; `yaw` and `pitch` [N, K] in radians, yaw positive to the left of the picture, pitch positive
upwards.

The network sees what is inside the box of the face and inside the picture, stretched to a square: neither turned nor
widened, as these networks are trained. A face outside of the picture is left out.
"""

import cv2
import numpy as np
from crops import pieces
from steps import Steps, by_picture, parameters_of, responses


class TritonPythonModel:
    def initialize(self, args):
        parameters = parameters_of(args)
        self.steps = Steps(parameters)
        self.network = self.steps.names[1]
        self.side = int(parameters["network_side"])
        cv2.setNumThreads(1)

    def execute(self, requests):
        return responses(requests, self._gazes)

    def _gazes(self, pictures):
        n, height, width, _ = pictures.shape
        owner, boxes, scores, landmarks = self.steps.faces(pictures)
        low, high = (boxes[:, side].clip(0, (width, height)) for side in (slice(2), slice(2, 4)))
        keep = (high - low >= 1).all(axis=1)
        angles = self._angles(pictures, owner[keep], low[keep], high[keep])
        rows = {"boxes": boxes[keep], "scores": scores[keep], "landmarks": landmarks[keep]}
        return by_picture(n, owner[keep], **rows, yaw=angles[:, 0], pitch=angles[:, 1])

    def _angles(self, pictures, owner, low, high):
        """(yaw, pitch) [F, 2] of the rectangles from low to high, [F, 2] each."""
        if not len(owner):
            return np.empty((0, 2))
        transforms = np.zeros((len(owner), 2, 3))
        transforms[:, [0, 1], [0, 1]] = (high - low) / self.side
        transforms[:, :, 2] = low
        return self.steps.ask(self.network, pieces(pictures, owner, transforms, self.side), "angles")[0]
