"""What the client must know of a model and of a server: small frozen records that travel to the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from framehouse.video.framing import Framing, Size

__all__ = ["Framing", "ModelSpec", "Size", "TritonTarget"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One version of one model, as `repository.load_specs` reads it from the model repository."""

    model_id: str
    """`slug/version`, for example `detector/1`: what rows, results and people call it."""
    slug: str
    version: str
    family: str
    """Key of the adapter that feeds it and reads it."""
    kind: str
    """Kind of rows that it makes, for example `detections`."""
    triton_model: str
    """Model name in requests to Triton; an ensemble where there are several steps."""
    triton_version: str
    """Model version in requests; empty leaves it to the model's version policy."""
    framing: Framing
    """The pictures that the decoder makes for it."""
    max_batch: int
    """Most frames in one request."""
    labels: tuple[str, ...]
    """Class names by class id; empty where the kind has none."""
    digest: str
    """`ids.model_digest` of everything that shapes its numbers."""
    confidence_floor: float
    """Lowest confidence that is stored; thresholds above it are applied when reading."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the model's config.pbtxt, then of its steps'; the first of a name counts."""
    steps: tuple[str, ...] = ()
    """Triton models that must be loaded for it: its steps, and itself last."""
    on_gpu: bool = False
    """Whether a GPU serves one of its steps; decides what its seconds cost."""


@dataclass(frozen=True, slots=True)
class TritonTarget:
    """Triton gRPC endpoints and how to use them."""

    url: str
    """host:port; several by comma serve the same models, and share the work."""
    shared_memory: bool
    """Try system shared memory; a handshake decides."""
    request_timeout_s: float
    in_flight: int
    """Requests in flight per worker, model and endpoint."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Each endpoint once, in order; at least one."""
        return tuple(dict.fromkeys(part.strip() for part in self.url.split(",") if part.strip())) or (self.url,)

    def each(self) -> tuple[TritonTarget, ...]:
        """The target of each endpoint alone."""
        return tuple(replace(self, url=url) for url in self.urls)

    @property
    def most_in_flight(self) -> int:
        """Requests in flight per worker and model, at all endpoints."""
        return self.in_flight * len(self.urls)
