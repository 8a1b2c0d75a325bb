"""Amazon S3, and what speaks like it, over a boto3 client."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

from framehouse.errors import SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.backoff import PATIENCE, Patience, changed, error_of, one_line, patiently
from framehouse.storage.local import os_errors
from framehouse.storage.objects import LONGEST_TTL_S, ObjectFacts, pieces
from framehouse.storage.uris import quoted

T = TypeVar("T")

_PART_BYTES = 16 * 1024 * 1024
_MAX_PARTS = 10_000
_SETTINGS = {
    "signature_version": "s3v4",
    "connect_timeout": 10,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 1},  # `backoff` asks again
    "request_checksum_calculation": "when_required",  # stores that only speak like S3 know no newer sums
    "response_checksum_validation": "when_required",
}
_THROTTLE_CODES = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable"}
)
_FORBIDDEN_CODES = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired"})


def connect(session: Any = None, **parameters: Any) -> Any:
    """A client with this module's settings.

    Args:
        session: a boto3 session, as a block gives it; None takes the SDK's own chain (environment, files, role).
        parameters: of `session.client`; a `config` there wins over these settings.
    """
    import boto3  # noqa: PLC0415  half a second, for those who use it
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    config = Config(**_SETTINGS).merge(parameters.pop("config", None) or Config())
    try:
        return (session or boto3.Session()).client("s3", config=config, **parameters)
    except (BotoCoreError, ValueError) as error:
        raise SourceForbidden(f"S3: {one_line(error)}", code="source.no_credentials") from error


@dataclass(frozen=True, slots=True)
class S3Objects:
    """One bucket.

    `etag` is S3's own, without quotes. `checksum` is the MD5 where S3 gives it: not for objects put in pieces.
    """

    client: Any
    bucket: str
    patience: Patience = PATIENCE

    @property
    def uri(self) -> str:
        """`s3://bucket`."""
        return f"s3://{self.bucket}"

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectFacts]:
        """Objects by key, 1,000 a page."""
        asked = {"Prefix": prefix, "MaxKeys": 1000} | ({"StartAfter": after} if after else {})
        while True:
            page = self._ask("list_objects_v2", "", **asked)
            for entry in page.get("Contents", ()):
                yield _facts(entry["Key"], entry, "Size")
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def stat(self, key: str) -> ObjectFacts:
        """A HEAD."""
        return _facts(key, self._ask("head_object", key), "ContentLength")

    def read(self, key: str) -> bytes:
        """A GET."""
        return self._patiently(key, lambda: bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()))

    def open_range(self, key: str, start: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """GETs of windows, all of one version."""
        version = etag or self.stat(key).etag or ""

        def window(first: int, end: int) -> bytes:
            asked = {"Range": f"bytes={first}-{end - 1}", "IfMatch": f'"{version}"'}
            try:
                got = self.client.get_object(Bucket=self.bucket, Key=key, **asked)
            except self.client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 416:  # behind the end
                    return b""
                raise
            if got["ETag"].strip('"') != version:  # stores that only speak like S3 may not heed IfMatch
                raise changed(self._where(key))
            return bytes(got["Body"].read())

        return pieces(lambda first, end: self._patiently(key, lambda: window(first, end)), start)

    def write(self, key: str, content: bytes) -> None:
        """One PUT."""
        self._ask("put_object", key, Body=content, ContentMD5=_content_md5(content))

    def put(self, key: str, path: Path) -> None:
        """One PUT, or a multipart upload that is given up whole when a part of it fails."""
        with os_errors(path), path.open("rb") as file:
            size = path.stat().st_size
            if size <= _PART_BYTES:
                self.write(key, file.read())
                return
            upload_id = self._ask("create_multipart_upload", key)["UploadId"]
            try:
                self._put_parts(key, upload_id, iter(lambda: file.read(_part_bytes(size)), b""))
            except BaseException:
                with suppress(SourceError):
                    self._ask("abort_multipart_upload", key, UploadId=upload_id)
                raise

    def _put_parts(self, key: str, upload_id: str, contents: Iterator[bytes]) -> None:
        parts = []
        for number, content in enumerate(contents, 1):
            sent = self._ask(
                "upload_part", key, UploadId=upload_id, PartNumber=number, Body=content,
                ContentMD5=_content_md5(content),
            )  # fmt: skip
            parts.append({"ETag": sent["ETag"], "PartNumber": number})
        self._ask("complete_multipart_upload", key, UploadId=upload_id, MultipartUpload={"Parts": parts})

    def delete(self, key: str) -> None:
        """A DELETE."""
        self._ask("delete_object", key)

    def sign_get(self, key: str, ttl_s: int) -> str:
        """A presigned GET; seven days at most."""
        return self._sign("get_object", key, ttl_s)

    def sign_put(self, key: str, ttl_s: int) -> str:
        """A presigned PUT; seven days at most."""
        return self._sign("put_object", key, ttl_s)

    def _sign(self, operation: str, key: str, ttl_s: int) -> str:
        with _translated(self._where(key)):
            return str(
                self.client.generate_presigned_url(
                    operation, {"Bucket": self.bucket, "Key": key}, ExpiresIn=min(ttl_s, LONGEST_TTL_S)
                )
            )

    def _ask(self, operation: str, key: str, **parameters: Any) -> dict[str, Any]:
        named = {"Key": key} if key else {}
        return self._patiently(
            key, lambda: dict(getattr(self.client, operation)(Bucket=self.bucket, **named, **parameters))
        )

    def _patiently(self, key: str, call: Callable[[], T]) -> T:
        def once() -> T:
            with _translated(self._where(key)):
                return call()

        return patiently(once, self.patience)

    def _where(self, key: str) -> str:
        return f"{self.uri}/{quoted(key)}" if key else self.uri


def _facts(key: str, entry: dict[str, Any], size: str) -> ObjectFacts:
    etag = entry["ETag"].strip('"')
    is_md5 = (
        len(etag) == 32 and "SSECustomerAlgorithm" not in entry and "kms" not in entry.get("ServerSideEncryption", "")
    )
    modified = entry["LastModified"].astimezone(UTC).isoformat(timespec="seconds")
    checksum = f"md5:{etag}" if is_md5 and size == "ContentLength" else None  # a listing tells no encryption
    return ObjectFacts(key, entry[size], etag, modified, checksum)


def _part_bytes(size: int) -> int:
    return max(_PART_BYTES, -(-size // _MAX_PARTS))


def _content_md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """What boto3 raises in this block comes out as one of ours."""
    from botocore import exceptions as boto  # noqa: PLC0415

    try:
        yield
    except boto.ClientError as error:
        raise _client_error(error, where) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        raise SourceForbidden(
            f"{where}: {one_line(error)}", code="source.no_credentials", hint="see docs/guide/sources.md", uri=where
        ) from error
    except boto.ParamValidationError as error:
        raise SourceNotFound(f"{where}: {one_line(error)}", uri=where) from error
    except boto.SSLError as error:
        raise SourceError(
            f"{where}: {one_line(error)}", code="source.tls", hint="check the endpoint", uri=where
        ) from error
    except (boto.HTTPClientError, boto.IncompleteReadError) as error:
        raise SourceUnavailable(f"{where}: {one_line(error)}", uri=where) from error
    except boto.BotoCoreError as error:
        raise SourceError(f"{where}: {one_line(error)}", uri=where) from error


def _client_error(error: Any, where: str) -> SourceError:
    answer, said = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
    code, status = str(said.get("Code", "")), int(answer.get("HTTPStatusCode", 0))
    line = code if code == str(status) or not code else f"{code}: {one_line(said.get('Message', ''))}"
    if code in _THROTTLE_CODES:
        status = 503
    if code in _FORBIDDEN_CODES:
        status = 403
    if code == "RequestTimeout":
        status = 408
    return error_of(status, where, line, retry_after=answer.get("HTTPHeaders", {}).get("retry-after"))
