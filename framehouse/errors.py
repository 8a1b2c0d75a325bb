"""Every failure that Framehouse names.

::

    FramehouseError
    ├ ConfigError            config.invalid
    ├ SourceError            source.error
    │ ├ SourceNotFound       source.not_found
    │ ├ SourceForbidden      source.forbidden
    │ └ SourceUnavailable*   source.unavailable
    ├ MediaError             media.error
    │ ├ UnreadableVideo      media.unreadable
    │ ├ NoVideoStream        media.no_video_stream
    │ ├ TruncatedVideo       media.truncated
    │ └ FpsExceedsSource     media.fps_exceeds_source
    ├ InferenceError         inference.error
    │ ├ TensorMismatch       inference.tensor_mismatch
    │ ├ ModelNotReady*       inference.model_not_ready
    │ ├ InferenceTimeout*    inference.timeout
    │ └ TritonUnavailable*   inference.triton_unavailable
    ├ ResultsError           results.error
    │ ├ ContractViolation    results.contract
    │ └ MisalignedParts      results.misaligned_parts
    ├ StoreError             store.error
    │ ├ MigrationError       store.migration
    │ ├ QueryRejected        store.query_rejected
    │ ├ QueryTimeout         store.query_timeout
    │ ├ StoreLocked*         store.locked
    │ └ LakeUnavailable*     store.lake_unavailable
    ├ JobError               job.error
    │ ├ JobNotFound          job.not_found
    │ ├ LeaseLost            job.lease_lost
    │ ├ BudgetSpent          budget.spent
    │ ├ DeploymentMissing    job.deployment_missing
    │ ├ CatalogNotFound      job.catalog_not_found
    │ ├ CatalogExists        job.catalog_exists
    │ └ EngineUnavailable*   job.engine_unavailable
    └ ApiError               api.error
      ├ BadRequest           api.bad_request
      ├ Unauthorised         api.unauthorised
      ├ NotAllowed           api.not_allowed
      ├ NotFound             api.not_found
      ├ TooMany              api.limit
      └ NoRoom               api.no_room                                 * retryable

`retryable` and `code` are class attributes: the first decides whether a task tries again, the second lands in the run
record, in SQL, in the HTTP body and in the CLI line. A raiser may narrow the code (`code="config.infer_fps"`) and the
hint; both then travel with the error. Errors cross processes, so the message is positional and every fact is a keyword
with a default.
"""

from __future__ import annotations

from typing import Any, ClassVar

Fact = str | int | float | bool | None


class FramehouseError(Exception):
    """Base of the tree.

    Args:
        message: one line a person can read; no secrets, no query strings.
        hint: what to try, one line.
        code: a narrower stable code than the class's own.
        facts: video_id, uri, model, hop, second …; plain values only.
    """

    default_code: ClassVar[str] = "framehouse.error"
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str = "", *, hint: str | None = None, code: str | None = None, **facts: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = self.default_hint if hint is None else hint
        self.facts: dict[str, Fact] = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.code, self.facts)

    def bare(self) -> FramehouseError:
        """The same error without its causes and traceback, which may not survive the way to another process."""
        return _rebuild(type(self), self.message, self.hint, self.code, self.facts)

    def line(self) -> str:
        """The single line shown to a person: code, message, what to try."""
        return f"{self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def _rebuild(cls: type[FramehouseError], message: str, hint: str, code: str, facts: dict[str, Fact]) -> FramehouseError:
    return cls(message, hint=hint, code=code, **facts)


class ConfigError(FramehouseError):
    """A setting, argument or installation that cannot work as given."""

    default_code = "config.invalid"


class SourceError(FramehouseError):
    """The bytes of a video could not be had."""

    default_code = "source.error"


class SourceNotFound(SourceError):
    """Nothing there."""

    default_code = "source.not_found"
    default_hint = "check the path or URL"


class SourceForbidden(SourceError):
    """There, but not for us: credentials, an expired signature, or our own address guard."""

    default_code = "source.forbidden"
    default_hint = "check credentials, or that a signed URL has not expired"


class SourceUnavailable(SourceError):
    """The far side stalled, broke off, or answered 5xx: worth another try."""

    default_code = "source.unavailable"
    retryable = True
    default_hint = "the source may be down; retry later"


class MediaError(FramehouseError):
    """The bytes are here but are not a video that can be sampled as asked."""

    default_code = "media.error"


class UnreadableVideo(MediaError):
    """No listed container format opens it, or nothing in it decodes."""

    default_code = "media.unreadable"
    default_hint = "play the file, or re-encode it with ffmpeg"


class NoVideoStream(MediaError):
    """A container without pictures, or with none that is presented."""

    default_code = "media.no_video_stream"
    default_hint = "the file holds no video frames; nothing to infer"


class TruncatedVideo(MediaError):
    """The container says there should be more bytes than there are."""

    default_code = "media.truncated"
    default_hint = "the file is cut short; copy or download it again"


class FpsExceedsSource(MediaError):
    """Asked for more frames a second than the video has."""

    default_code = "media.fps_exceeds_source"
    default_hint = "ask for at most the source rate, or --fps all"


class InferenceError(FramehouseError):
    """A model did not give an answer for a frame."""

    default_code = "inference.error"


class TensorMismatch(InferenceError):
    """Model and adapter disagree about names, shapes or types."""

    default_code = "inference.tensor_mismatch"
    default_hint = "run: framehouse models check"


class ModelNotReady(InferenceError):
    """The server is up but does not serve the model (yet)."""

    default_code = "inference.model_not_ready"
    retryable = True
    default_hint = "run: framehouse models list"


class InferenceTimeout(InferenceError):
    """A request passed its deadline."""

    default_code = "inference.timeout"
    retryable = True


class TritonUnavailable(InferenceError):
    """No Triton server answers at the address."""

    default_code = "inference.triton_unavailable"
    retryable = True
    default_hint = "run: framehouse status"


class ResultsError(FramehouseError):
    """Rows that break their own contract."""

    default_code = "results.error"


class ContractViolation(ResultsError):
    """A record whose arrays do not fit each other."""

    default_code = "results.contract"


class MisalignedParts(ResultsError):
    """Parts that do not belong to the video, model or plan they claim."""

    default_code = "results.misaligned_parts"


class StoreError(FramehouseError):
    """The analytics database."""

    default_code = "store.error"


class MigrationError(StoreError):
    """The database is of a later release, or a step failed."""

    default_code = "store.migration"


class QueryRejected(StoreError):
    """Not a single read-only SELECT, or wrong SQL."""

    default_code = "store.query_rejected"


class QueryTimeout(StoreError):
    """A query passed its limit of time."""

    default_code = "store.query_timeout"


class StoreLocked(StoreError):
    """Another process is the writer."""

    default_code = "store.locked"
    retryable = True
    default_hint = "only one loader may write; see: framehouse status"


class LakeUnavailable(StoreError):
    """The bucket of the lake is throttled, broken off, or does not answer."""

    default_code = "store.lake_unavailable"
    retryable = True
    default_hint = "the bucket may be down; retry later"


class JobError(FramehouseError):
    """The engine."""

    default_code = "job.error"


class JobNotFound(JobError):
    """No such job."""

    default_code = "job.not_found"
    default_hint = "list them: framehouse jobs list"


class LeaseLost(JobError):
    """Another run holds the job now: stop without writing."""

    default_code = "job.lease_lost"
    default_hint = "another run works on this job now"


class BudgetSpent(JobError):
    """A cap is reached: the job pauses, and keeps what it has."""

    default_code = "budget.spent"
    default_hint = "framehouse jobs resume JOB_ID"


class DeploymentMissing(JobError):
    """Prefect knows no deployment of that name."""

    default_code = "job.deployment_missing"
    default_hint = "run: framehouse up"


class CatalogNotFound(JobError):
    """No such catalogue."""

    default_code = "job.catalog_not_found"
    default_hint = "list them: framehouse catalog list"


class CatalogExists(JobError):
    """The name of a catalogue is taken."""

    default_code = "job.catalog_exists"
    default_hint = "give another --name, or remove the old one first: framehouse catalog remove NAME"


class EngineUnavailable(JobError):
    """The local stack, or the Prefect server named in the settings, does not answer."""

    default_code = "job.engine_unavailable"
    retryable = True
    default_hint = "run: framehouse up"


class ApiError(FramehouseError):
    """A request over HTTP that is not served."""

    default_code = "api.error"


class BadRequest(ApiError):
    """A request that cannot be understood."""

    default_code = "api.bad_request"
    default_hint = "see /docs"


class Unauthorised(ApiError):
    """No key, or one that is not known here."""

    default_code = "api.unauthorised"
    default_hint = "make a key with `framehouse keys create`; send it as Authorization: Bearer, or as api_key"


class NotAllowed(ApiError):
    """The key is known, but this is not for it."""

    default_code = "api.not_allowed"
    default_hint = "use a key with the scope that is needed"


class NotFound(ApiError):
    """Nothing of this name, or nothing that this key may see."""

    default_code = "api.not_found"


class TooMany(ApiError):
    """A limit of the key is reached."""

    default_code = "api.limit"


class NoRoom(ApiError):
    """The disk is below its floor: nothing large is taken."""

    default_code = "api.no_room"
    default_hint = "free some space on the server (framehouse prune), or try again later"


def all_errors(root: type[FramehouseError] = FramehouseError) -> list[type[FramehouseError]]:
    """The whole tree, root first, depth first."""
    return [root, *(e for child in root.__subclasses__() for e in all_errors(child))]
