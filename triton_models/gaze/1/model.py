"""Where people look: faces, their meshes, their irises, and angles from the geometry of both.

Input `image`, uint8 [N, height, width, 3] RGB. Outputs per picture, K rows of which the first `count` int32 [N, 1] are
filled: `boxes` float32 [N, K, 4] (x1, y1, x2, y2) and `landmarks` [N, K, 6, 2] in pixels of the picture, not cut to it;
`scores` [N, K], falling; `yaw` and `pitch` [N, K] in radians, yaw positive to the left of the picture, pitch positive
upwards. `head_yaw`, `head_pitch` are the head's share of the angles, `eye_yaw`, `eye_pitch` the eyes'.

A face in which the mesh finds none (`presence_threshold`), or whose points give no direction, is left out.
"""

import cv2
import numpy as np
from crops import pieces, placed
from geometry import EYE_SIDE, FACE_SIDE, angles, eye_corners, eye_pieces, face_pieces, heads_and_looks
from steps import Steps, by_picture, parameters_of, responses


class TritonPythonModel:
    def initialize(self, args):
        parameters = parameters_of(args)
        self.steps = Steps(parameters)
        self.presence = float(parameters["presence_threshold"])
        cv2.setNumThreads(1)

    def execute(self, requests):
        return responses(requests, self._gazes)

    def _gazes(self, pictures):
        owner, boxes, scores, landmarks = self.steps.faces(pictures)
        mesh, presence = self._meshes(pictures, owner, face_pieces(boxes, landmarks))
        real = presence >= self.presence
        owner, mesh = owner[real], mesh[real]
        heads, looks = heads_and_looks(mesh, self._irises(pictures, owner, eye_corners(mesh)[..., :2]))
        head, look = angles(heads), angles(looks)
        rows = {"boxes": boxes[real], "scores": scores[real], "landmarks": landmarks[real]}
        rows |= {"yaw": look[:, 0], "pitch": look[:, 1], "head_yaw": head[:, 0], "head_pitch": head[:, 1]}
        rows |= {"eye_yaw": look[:, 0] - head[:, 0], "eye_pitch": look[:, 1] - head[:, 1]}
        known = np.isfinite(look).all(axis=1)
        return by_picture(len(pictures), owner[known], **{name: values[known] for name, values in rows.items()})

    def _meshes(self, pictures, owner, transforms):
        """The 468 points of each face in its picture, [F, 468, 3], and whether there is one, [F]."""
        if not len(owner):
            return np.empty((0, 468, 3)), np.empty(0)
        faces = pieces(pictures, owner, transforms, FACE_SIDE)
        points, presence = self.steps.ask("gaze_mesh", faces, "landmarks", "presence")
        return placed(points.astype(np.float64), transforms), presence[:, 0]

    def _irises(self, pictures, owner, corners):
        """Middles of the right and the left iris of each face in its picture, [F, 2, 2]; corners are [F, 2, 2, 2]."""
        if not len(owner):
            return np.empty((0, 2, 2))
        transforms = eye_pieces(corners.reshape(-1, 2, 2))
        eyes = pieces(pictures, owner.repeat(2), transforms, EYE_SIDE)
        eyes[::2] = eyes[::2, :, ::-1]  # the network knows left eyes: right ones are mirrored, and back
        (points,) = self.steps.ask("gaze_iris", eyes, "iris")
        middles = points[:, :1, :2].astype(np.float64)
        middles[::2, :, 0] = EYE_SIDE - middles[::2, :, 0]
        return placed(middles, transforms).reshape(-1, 2, 2)
