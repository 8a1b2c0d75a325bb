"""Pieces of pictures, and the way back from their points to points of the picture.

Points are pixels: x to the right, y down, (0, 0) the upper left corner of the first pixel. A transform [2, 3] leads
from points of a piece to points of the picture.
"""

import cv2
import numpy as np


def letterbox(picture, side):
    """The whole picture in the middle of a black square, uint8 [side, side, 3], and its transform."""
    height, width = picture.shape[:2]
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square = np.zeros((side, side, 3), np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=how)
    back = np.array([width / size[0], height / size[1]])
    return square, np.column_stack([np.diag(back), -back * (left, top)])


def squares(middles, sides, along, n_pixels):
    """Transforms [N, 2, 3] of n_pixels x n_pixels pieces: squares whose upper edges run in the directions along [N, 2].

    Args:
        middles: [N, 2].
        sides: [N], in pixels of the picture.
    """
    angle = np.arctan2(along[:, 1], along[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    linear = turn * (sides / n_pixels)[:, None, None]
    return np.concatenate([linear, (middles - linear.sum(axis=2) * n_pixels / 2)[:, :, None]], axis=2)


def cut(picture, transform, n_pixels):
    """The piece that a transform describes, [n_pixels, n_pixels, 3]; beyond the edge the last pixels are repeated.

    Large pieces are taken from the halved picture, because bilinear sampling sees no more than two pixels a step.
    """
    scale = np.sqrt(abs(np.linalg.det(transform[:, :2])))
    while scale > 2 and min(picture.shape[:2]) > 1:
        before, picture = picture.shape, cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        ratio = np.array(picture.shape[1::-1]) / before[1::-1]
        transform, scale = transform * ratio[:, None], scale / 2
    middles = transform.copy()  # OpenCV counts from the middle of the first pixel
    middles[:, 2] += transform[:, :2].sum(axis=1) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, middles, (n_pixels, n_pixels), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def pieces(pictures, owner, transforms, n_pixels):
    """What each transform [N, 2, 3] describes in the picture owner [N], uint8 [N, n_pixels, n_pixels, 3]; N > 0."""
    return np.stack([cut(pictures[i], transforms[j], n_pixels) for j, i in enumerate(owner)])


def placed(points, transforms):
    """Points of pieces as points of the picture: [N, P, 2 or 3] by [N, 2, 3]; depth is scaled as the plane is."""
    linear, offset = transforms[:, :, :2], transforms[:, None, :, 2]
    plane = points[:, :, :2] @ linear.transpose(0, 2, 1) + offset
    scale = np.sqrt(np.abs(np.linalg.det(linear)))[:, None, None]
    return np.concatenate([plane, points[:, :, 2:] * scale], axis=2)
