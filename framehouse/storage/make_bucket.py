"""Make a bucket where it is missing: `python -m framehouse.storage.make_bucket s3://bucket`.

For a store of one's own (docker/compose.yaml). Buckets of a cloud are made with the cloud's own tools, which also say
who may read them.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from framehouse.errors import ConfigError, FramehouseError, SourceUnavailable
from framehouse.storage.s3 import connect

_PATIENCE_S = 60.0
_PAUSE_S = 1.0


def make_bucket(client: Any, name: str, *, patience_s: float = _PATIENCE_S) -> bool:
    """Make a bucket; returns whether it was missing.

    Args:
        client: of boto3.
        name: of the bucket.
        patience_s: how long a store that does not answer yet is asked again.

    Raises:
        SourceUnavailable: it did not answer, or refused.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  half a second, as in s3

    until = time.monotonic() + patience_s
    while True:
        try:
            is_missing = name not in {bucket["Name"] for bucket in client.list_buckets().get("Buckets", ())}
            if is_missing:
                client.create_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > until:
                raise SourceUnavailable(f"s3://{name} cannot be made: {error}", code="source.unavailable") from error
            time.sleep(_PAUSE_S)
        else:
            return is_missing


def main() -> int:
    """Exit code; one line on stderr."""
    try:
        uri = sys.argv[1] if len(sys.argv) == 2 else ""
        scheme, _, name = uri.partition("://")
        if scheme != "s3" or not name or "/" in name:
            raise ConfigError(f"{uri!r} is no s3://bucket", code="config.setting")
        made = make_bucket(connect(), name)
    except FramehouseError as error:
        print(error.line(), file=sys.stderr)
        return 1
    print(f"{uri} {'made' if made else 'is there'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
