"""Uploads whose file is no longer kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from framehouse.errors import SourceNotFound
from framehouse.state import Job


@contextmanager
def lost_upload_named(job: Job) -> Iterator[None]:
    """Say it plainly when a retried job's upload has been pruned meanwhile.

    Raises:
        SourceNotFound: code `source.upload_gone`.
    """
    try:
        yield
    except SourceNotFound as error:
        if job.origin.upload_id is None:
            raise
        raise SourceNotFound(
            f"the upload {job.origin.upload_id} is not kept any more", code="source.upload_gone",
            hint="upload the video again and start another job", upload_id=job.origin.upload_id,
        ) from error  # fmt: skip
