"""Exit code of each class of error; a class that is not listed takes its parent's.

0 is success, 1 a run with failed videos or a check with findings, 2 also wrong usage, 130 an interrupt.
"""

from __future__ import annotations

from framehouse import errors

EXIT_CODES: dict[type[errors.FramehouseError], int] = {
    errors.FramehouseError: 1,
    errors.ConfigError: 2,
    errors.SourceError: 3,
    errors.MediaError: 4,
    errors.InferenceError: 5,
    errors.ResultsError: 6,
    errors.StoreError: 7,
    errors.JobError: 8,
    errors.ApiError: 9,
}


def exit_code(error: errors.FramehouseError) -> int:
    """Exit code of the nearest listed class.

    >>> exit_code(errors.SourceForbidden("no"))
    3
    """
    return next(EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES)
