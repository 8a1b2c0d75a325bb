"""Between a line's pixels and its text: the pictures that the networks take, and the signs that they give."""

import cv2
import numpy as np

_HEIGHT, _SLIP_WIDTH = 48, 192
_LONGEST = 3200
_FIRST_CHINESE = 0x2E80
_NARROW = {code: code - 0xFEE0 for code in range(0xFF10, 0xFF5B) if chr(code).isalnum()}  # full-width A to A
_GREY = 128  # next to the 127.5 that the classifier was given beyond the end of a line


def line_width(piece):
    """Width of a line at the reader's height, its aspect kept."""
    height, width = piece.shape[:2]
    return min(_LONGEST, max(1, int(np.ceil(_HEIGHT * width / height))))


def slips(pieces):
    """The lines as the classifier takes them, uint8 [N, 48, 192, 3]: long ones squeezed, short ones filled up."""
    made = np.full((len(pieces), _HEIGHT, _SLIP_WIDTH, 3), _GREY, np.uint8)
    for slip, piece in zip(made, pieces, strict=True):
        width = min(_SLIP_WIDTH, line_width(piece))
        slip[:, :width] = cv2.resize(piece, (width, _HEIGHT))
    return made


def joined(letters, probabilities, spaces, space_above):
    """(text, mean probability of its signs): equal signs side by side are one, empty ones part others (CTC).

    The network is shy of spaces: between two letters or digits that are not Chinese one is also put where its
    probability, somewhere in the gap, is above `space_above`, although no sign at all is the likelier reading.

    Args:
        letters: list of T str.
        probabilities, spaces: float32 [T], of the letter and of a space.
        space_above: 1 puts in none.
    """
    text, of_signs, space = "", [], 0.0
    for i, letter in enumerate(letters):
        if not letter:
            space = max(space, spaces[i])
        elif i == 0 or letters[i - 1] != letter:
            is_gap = space > space_above and text and is_word_sign(text[-1]) and is_word_sign(letter)
            text += " " + letter if is_gap else letter
            of_signs.append(probabilities[i])
            space = 0.0
    text = text.translate(_NARROW).strip()
    return text, float(np.mean(of_signs, dtype=np.float64)) if text else 0.0


def is_word_sign(letter):
    return letter.isalnum() and ord(letter) < _FIRST_CHINESE
