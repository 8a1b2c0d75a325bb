"""From landmarks of a face to the direction of its look.

Points are pixels of the picture, x to its right, y down; depth has the same unit and grows away from the camera. Left
and right of a face are the person's own. Angles are (yaw, pitch) in radians, yaw positive to the left of the picture,
pitch positive upwards: seen in the picture, a look is (-sin yaw cos pitch, -sin pitch).
"""

import numpy as np
from crops import squares

FACE_SIDE, EYE_SIDE = 192, 64
"""Pixels of the pieces that the networks take."""
FACE_ROOM, EYE_ROOM = 1.5, 2.3
"""Sides of the pieces in boxes of faces and in widths of eyes: those of MediaPipe's own graphs."""
RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Corners of the eyes among the 468 points of the mesh, from left to right in the picture of a frontal face."""
EYEBALL = 0.42
"""Radius of the eyeball in widths of the eye: 12 mm of about 28.6 mm."""
FARTHEST = 0.95
"""Largest sine of the angle between a look and the camera's axis (72 degrees): beyond it a pixel is too much."""

_CANONICAL = {
    1: (0.0, -1.126865, 7.475604),  # tip of the nose
    33: (-4.445859, 2.663991, 3.173422),  # right eye, outer corner
    133: (-1.856432, 2.585245, 3.757904),  # right eye, inner corner
    362: (1.856432, 2.585245, 3.757904),  # left eye, inner corner
    263: (4.445859, 2.663991, 3.173422),  # left eye, outer corner
    61: (-2.456206, -4.342621, 4.283884),  # right corner of the mouth
    291: (2.456206, -4.342621, 4.283884),  # left corner of the mouth
    168: (0.0, 3.271027, 5.236015),  # bridge of the nose
    199: (0.0, -7.942194, 5.181173),  # chin
}
"""Points of MediaPipe's canonical face by their number in the mesh: centimetres, x to the person's left, y up, z out of
the face; mediapipe/modules/face_geometry/data/canonical_face_model.obj, Apache-2.0 (NOTICE)."""
HEAD_POINTS = list(_CANONICAL)
HEAD_MODEL = np.array(list(_CANONICAL.values())) * (1, -1, -1)
"""float64 [9, 3]: the same points in the camera's axes, of a face that looks straight into the lens."""
_STRAIGHT = np.array([0.0, 0.0, -1.0])
_FLAT = 1e-6


def face_pieces(boxes, landmarks):
    """Transforms [F, 2, 3] of square pieces around faces, with the eyes level.

    Args:
        boxes: [F, 4], x1, y1, x2, y2.
        landmarks: [F, 6, 2]; the first two are the right and the left eye.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return squares(middles, FACE_ROOM * sides, landmarks[:, 1] - landmarks[:, 0], FACE_SIDE)


def eye_pieces(corners):
    """Transforms [E, 2, 3] of square pieces around eyes, with their corners level; corners are [E, 2, 2]."""
    along = corners[:, 1] - corners[:, 0]
    return squares(corners.mean(axis=1), EYE_ROOM * np.hypot(*along.T), along, EYE_SIDE)


def eye_corners(mesh):
    """Corners of the right and the left eye, [F, 2, 2, 3] (face, eye, corner), of meshes [F, 468, 3]."""
    return mesh[:, [RIGHT_EYE, LEFT_EYE]]


def head_rotations(points):
    """Rotations [F, 3, 3] of the head model onto faces; points [F, 9, 3] in the order of HEAD_POINTS.

    The least-squares fit of Kabsch (Acta Cryst. A32, 1976, 922) around the middles of both sets; of no consequence is
    the scale. NaN for a face that is not finite or lies on one line.
    """
    usable = np.isfinite(points).all(axis=(1, 2), keepdims=True)
    points = np.where(usable, points, 0.0)
    model = HEAD_MODEL - HEAD_MODEL.mean(axis=0)
    spread = (points - points.mean(axis=1, keepdims=True)).transpose(0, 2, 1) @ model
    left, sizes, right = np.linalg.svd(spread)
    right[:, 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]  # a rotation, never a mirror
    determined = sizes[:, 1] > _FLAT * sizes[:, 0]
    return np.where(determined[:, None, None], left @ right, np.nan)


def heads_and_looks(mesh, irises):
    """Directions of heads and of looks, unit vectors [F, 3] each, in the camera's axes; NaN where there is none.

    The eyeball is a sphere that touches the middle between the corners of its eye from behind, in the direction of the
    head. The place of the iris on that sphere is the look. Each eye counts by the width that it shows.

    Args:
        mesh: [F, 468, 3].
        irises: [F, 2, 2], middles of the right and the left iris.
    """
    heads = head_rotations(mesh[:, HEAD_POINTS]) @ _STRAIGHT
    corners = eye_corners(mesh)
    along = corners[:, :, 1] - corners[:, :, 0]
    radius = EYEBALL * np.linalg.norm(along, axis=2, keepdims=True)
    shown = np.linalg.norm(along[:, :, :2], axis=2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = (irises - corners[:, :, :, :2].mean(axis=2)) / radius
        across = heads[:, :2] + (turned * shown).sum(axis=1) / shown.sum(axis=1)
        across *= np.minimum(1, FARTHEST / np.linalg.norm(across, axis=1, keepdims=True))
    forward = -np.sqrt(1 - np.square(across).sum(axis=1, keepdims=True))
    return heads, np.concatenate([across, forward], axis=1)


def angles(directions):
    """(yaw, pitch) [N, 2] of unit vectors [N, 3]."""
    x, y, z = directions.T
    return np.stack([np.arctan2(-x, -z), np.arcsin(np.clip(-y, -1, 1))], axis=1)
