"""The files of an added model's folder, as text: config.pbtxt, card.toml, labels.txt, README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from framehouse.inference.exports.metadata import one_line
from framehouse.inference.exports.plan import Plan, Result
from framehouse.inference.exports.source import Export
from framehouse.inference.exports.wrap import IMAGE
from framehouse.video.framing import Size

CONFIDENCE_FLOOR = "0.1"
MOST_IN_A_BATCH = 8
_LARGE_BYTES = 256 * 1024**2
"""From here on an instance costs so much memory that there is one, with two threads."""


@dataclass(frozen=True, slots=True)
class Words:
    """What people read of a model; empty is filled from the file."""

    title: str = ""
    origin: str = ""
    licence: str = ""
    copyright: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells of an added model."""

    slug: str
    version: int
    folder: str
    export: Export
    words: Words
    weights_file: str
    """Path inside the repository."""
    weights_sha256: str
    weights_bytes: int
    ms: float
    """One picture in the trial, one thread."""

    @property
    def licence(self) -> str:
        """The person's word, else the file's."""
        return one_line(self.words.licence) or self.export.metadata.licence or "not stated in the file"


def config_pbtxt(
    folder: str, plan: Plan, results: Mapping[str, Result], size: Size, *, max_batch_size: int, n_bytes: int
) -> str:
    """How Triton runs it."""
    width, height = size
    picture = f"[ {height}, {width}, 3 ]"
    outputs = ",\n".join(
        f'  {{ name: "{name}" data_type: TYPE_{found.dtype} dims: [ {", ".join(map(str, found.dims))} ] }}'
        for name, found in results.items()
    )
    count, threads = (1, 2) if n_bytes > _LARGE_BYTES else (2, 1)
    parameters = {
        "intra_op_thread_count": str(threads),
        "inter_op_thread_count": "1",
        "session.intra_op.allow_spinning": "0",
        "confidence_floor": CONFIDENCE_FLOOR,
        **({"iou_threshold": plan.iou_threshold} if plan.adapter != "tags" else {}),
        **plan.parameters,
    }
    lines = "".join(f"parameters {{ key: {_text(key)} value: {{ string_value: {_text(value)} }} }}\n"
                    for key, value in parameters.items())  # fmt: skip
    return f"""# Written by `framehouse models add`. {plan.layout}: {plan.kind}.
name: "{folder}"
backend: "onnxruntime"
max_batch_size: {max_batch_size}
input [
  {{ name: "{IMAGE}" data_type: TYPE_UINT8 dims: {picture} }}
]
output [
{outputs}
]
version_policy: {{ specific: {{ versions: [ 1 ] }} }}
instance_group [ {{ count: {count} kind: KIND_CPU }} ]
{lines}model_warmup [
  {{
    name: "one picture"
    batch_size: 1
    inputs {{ key: "{IMAGE}" value: {{ data_type: TYPE_UINT8 dims: {picture} zero_data: true }} }}
  }}
]
"""


def card_toml(facts: Facts, plan: Plan, results: Mapping[str, Result], size: Size, observed: Sequence[str]) -> str:
    """What `models list` and `show` tell, and what the decoder does.

    Args:
        observed: outputs of the untouched file as they were in the trial.
    """
    head = {
        "slug": facts.slug, "title": facts.words.title or title_of(facts, plan), "family": plan.adapter,
        "kind": plan.kind, "max_batch": 1, "labels": "labels.txt", "n_classes": len(plan.labels),
    }  # fmt: skip
    picture = {
        "name": IMAGE, "width": size[0], "height": size[1], "colour": "RGB", "resize": plan.resize,
        **({"pad": plan.pad} if plan.pad else {}), **({"short_side": plan.short_side} if plan.short_side else {}),
        "scaling": f"in the graph: {plan.pixels}",
    }  # fmt: skip
    given = [f"{name} {found.dtype} {list(found.dims)}" for name, found in results.items()]
    more = {"observed": list(observed), "outputs": given}
    return _card(facts, head, picture, plan.layout, plan.seen_in, more)


def gaze_card(facts: Facts, observed: Sequence[str]) -> str:
    """The card of a gaze network: the pictures go to a model that cuts the faces out."""
    head = {
        "slug": facts.slug, "title": facts.words.title or f"Gaze by {facts.export.path.stem}, for any number of faces",
        "family": "gaze", "kind": "gazes", "max_batch": 4,
    }  # fmt: skip
    picture = {"name": IMAGE, "width": 1280, "height": 1280, "colour": "RGB", "resize": "fit"}
    quality = {"summary": "angles as the network gives them; not checked here"}
    return _card(facts, head, picture, "gaze", "choice", {"observed": list(observed)}, quality)


def labels_txt(labels: Sequence[str]) -> str:
    """One name a line, by class id."""
    return "".join(f"{label}\n" for label in labels)


def readme(facts: Facts, layout: str, warnings: Sequence[str]) -> str:
    """For people who find the folder."""
    said = "".join(f"- {warning}\n" for warning in warnings)
    return f"""# {facts.slug}/{facts.version}

Made by `framehouse models add {one_line(facts.export.path.name)}` on {_today()}; family {layout}.
`model.onnx` is that file (sha256 {facts.export.sha256}) with a beginning and an end drawn around it: it takes
uint8 RGB pictures and gives small tensors (config.pbtxt). Where the file came from and its licence: card.toml.

Remove it with `framehouse models remove {facts.slug}/{facts.version}`. `max_batch` in card.toml is 1: on a CPU larger
batches gain nothing; on a GPU raise it, up to `max_batch_size` of config.pbtxt.
{said and chr(10)}{said}"""


def title_of(facts: Facts, plan: Plan) -> str:
    """A title for a file that has none."""
    return f"{one_line(facts.export.path.stem, 60)}: {plan.layout}, {len(plan.labels)} classes, added"


def _card(
    facts: Facts, head: Mapping[str, object], picture: Mapping[str, object], layout: str, seen_in: str,
    more: Mapping[str, object], quality: Mapping[str, object] | None = None,
) -> str:  # fmt: skip
    export, name = facts.export, one_line(facts.export.path.name)
    weights = {
        "file": facts.weights_file, "sha256": facts.weights_sha256, "size_bytes": facts.weights_bytes,
        "origin": one_line(facts.words.origin) or f"{name}, added by hand", "licence": facts.licence,
        "copyright": one_line(facts.words.copyright) or export.metadata.author or "not stated in the file",
    }  # fmt: skip
    tables = [
        ("[input]", picture),
        ("[[versions]]", {"version": str(facts.version), "triton_version": "1"}),
        ("[[weights]]", weights),
        ("[quality]", quality or {"summary": "added by hand: run once on noise, its answers not judged"}),
        ("[speed]", {"machine": "the one it was added on, one thread, best of three", "trial_ms": facts.ms}),
        (
            "[export]",
            {
                "family": layout, "seen_in": seen_in, "file": name, "sha256": export.sha256,
                "size_bytes": export.size_bytes, "opset": export.opset, "added": _today(), **more,
            },
        ),
    ]  # fmt: skip
    body = "".join(f"\n{title}\n{_lines(values)}" for title, values in tables)
    return f"# Written by `framehouse models add`; read by framehouse.\n{_lines(head)}{body}"


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{key} = {_text(value)}\n" for key, value in values.items())


def _text(value: object) -> str:
    """As TOML and protobuf's text format both read it."""
    return json.dumps(value, ensure_ascii=False)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
