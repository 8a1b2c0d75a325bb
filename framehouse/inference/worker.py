"""What a Dask worker loads before its first task (`dask worker --preload framehouse.inference.worker`).

With the imports done, the first chunk of the first video starts at once; logs are events with a time, as everywhere.
"""

from __future__ import annotations

import cv2
import pandas  # noqa: F401  pyarrow imports it at its first array: 2 s that no chunk shall wait for

import framehouse.inference.run  # noqa: F401  the imports are the point
from framehouse.telemetry import configure_logging


def dask_setup(_worker: object) -> None:
    """Called by Dask in each worker process, and in the nanny that watches it."""
    configure_logging(json=True)
    cv2.setNumThreads(1)
