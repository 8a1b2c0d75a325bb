"""Where text lies: boxes out of the detector's heat map (Differentiable Binarization), and their pixels."""

import cv2
import numpy as np

_SMALLEST_SIDE = 3
_JOIN = np.ones((2, 2), np.uint8)
_TALL = 1.5


def find_boxes(heat, threshold, box_threshold, unclip_ratio, max_boxes):
    """Boxes of text lines in a heat map.

    Args:
        heat: float32 [H, W], 0..1, how likely a pixel lies in the shrunken middle of a line.
        threshold: pixels above it belong to a line.
        box_threshold: lines whose mean heat is lower are dropped.
        unclip_ratio: each side moves outwards by area * ratio / perimeter, because the network learned shrunken lines.
        max_boxes: the hottest ones stay.

    Returns:
        float32 [T, 4, 2], corners clockwise from the text's top left if it is not upside down; pixels of the heat map.
        Hottest first.
    """
    marked = cv2.dilate((heat > threshold).astype(np.uint8), _JOIN)
    contours, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = [
        (mean_heat(heat, rectangle), rectangle) for rectangle in map(cv2.minAreaRect, contours) if is_line(rectangle)
    ]
    found = sorted((pair for pair in found if pair[0] >= box_threshold), key=lambda pair: (-pair[0], pair[1]))
    boxes = [corners(grown(rectangle, unclip_ratio)) for _, rectangle in found[:max_boxes]]
    return np.array(boxes, np.float32).reshape(-1, 4, 2) + np.float32(0.5)  # contours run through pixels' centres


def is_line(rectangle):
    return min(rectangle[1]) >= _SMALLEST_SIDE


def mean_heat(heat, rectangle):
    """Mean of the heat inside a rectangle (centre, size, angle as cv2 has them)."""
    points = cv2.boxPoints(rectangle)
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, np.array(heat.shape[::-1]) - 1)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int), low, np.array(heat.shape[::-1]) - 1)
    inside = np.zeros((high - low + 1)[::-1], np.uint8)
    cv2.fillPoly(inside, [(points - low).astype(np.int32)], 1)
    return cv2.mean(heat[low[1] : high[1] + 1, low[0] : high[0] + 1], inside)[0]


def grown(rectangle, unclip_ratio):
    """The rectangle with each side moved outwards by area * ratio / perimeter."""
    centre, (width, height), angle = rectangle
    distance = width * height * unclip_ratio / (2 * (width + height))
    return centre, (width + 2 * distance, height + 2 * distance), angle


def corners(rectangle):
    """float32 [4, 2], clockwise, the first edge along the line: to the right, or downwards where the box is tall."""
    points = cv2.boxPoints(rectangle)
    edges = np.roll(points, -1, axis=0) - points
    if edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0] < 0:  # counter-clockwise as pictures are drawn
        points = points[::-1]
        edges = np.roll(points, -1, axis=0) - points
    lengths = np.linalg.norm(edges, axis=1)
    points = np.roll(points, -int(np.argmax(edges[:, 0] / lengths)), axis=0)
    width, height = (np.linalg.norm(points[i + 1] - points[i]) for i in (0, 1))
    return np.roll(points, -1, axis=0) if height >= _TALL * width else points


def cut(picture, box):
    """The pixels of a box, uint8 [h, w, 3], with its first corner at the top left."""
    width, height = (max(1, int(np.linalg.norm(box[i + 1] - box[i]))) for i in (0, 1))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(box, target)
    return cv2.warpPerspective(picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
