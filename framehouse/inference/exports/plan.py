"""What was recognised of a file, and what is to be made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from framehouse.errors import ConfigError
from framehouse.inference.exports.source import Export, ImageInput
from framehouse.inference.exports.trial import Output, show_dims
from framehouse.video.framing import Size

if TYPE_CHECKING:
    from framehouse.inference.exports.sketch import Sketch

Values = Literal["0..255", "0..1", "-1..1", "imagenet"]
VALUES: tuple[Values, ...] = ("0..255", "0..1", "-1..1", "imagenet")
"""What a network's pixels are: `imagenet` is 0..1 less the mean of ImageNet, divided by its deviation."""
Resize = Literal["stretch", "letterbox", "letterbox-corner", "crop"]


@dataclass(frozen=True, slots=True)
class Pixels:
    """How the network wants its pixels."""

    values: Values = "0..1"
    bgr: bool = False

    def __str__(self) -> str:
        return f"{'BGR' if self.bgr else 'RGB'} {self.values}"


@dataclass(frozen=True, slots=True)
class Result:
    """A tensor that the wrapped file gives: its name inside the graph, type, dimensions without the batch."""

    tensor: str
    dtype: Literal["FP32", "INT32"]
    dims: tuple[int, ...]


Finish = Callable[["Sketch"], dict[str, Result]]
"""Draws what comes after the network; returns the outputs by their name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A file of a known family.

    Attributes:
        layout: the family's name, as in `--family`.
        seen_in: what gave it away: `choice`, `metadata`, `names` or `shapes`.
        adapter: key of the adapter that reads the answers.
        kind: of the rows.
        labels: class names by class id.
        finish: draws the part behind the network.
        iou_threshold: for the suppression of overlapping boxes; empty where the network gives no doubles.
        parameters: more parameters for config.pbtxt.
        notes: what the person should know.
    """

    layout: str
    adapter: str
    kind: str
    labels: tuple[str, ...]
    finish: Finish
    resize: Resize
    pixels: Pixels
    pad: int = 0
    short_side: int = 0
    iou_threshold: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seen_in: str = ""

    def wished(self, wishes: Wishes) -> Plan:
        """With pixels as the person said."""
        values, bgr = wishes.values or self.pixels.values, self.pixels.bgr
        if wishes.colour:
            bgr = wishes.colour == "bgr"
        return replace(self, pixels=Pixels(values, bgr))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person said; empty is for us to find out."""

    family: str = ""
    labels: tuple[str, ...] = ()
    """Names, or the name of a known list alone (`coco`)."""
    size: Size | None = None
    values: Values | Literal[""] = ""
    colour: Literal["", "rgb", "bgr"] = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that a family may judge by."""

    export: Export
    image: ImageInput
    outputs: tuple[Output, ...]
    """As they were in a real run of the untouched file, in the file's order."""
    wishes: Wishes

    @property
    def names(self) -> set[str]:
        """Of the outputs."""
        return {output.name for output in self.outputs}

    def output(self, name: str) -> Output:
        """By name."""
        return next(output for output in self.outputs if output.name == name)

    def ranked(self, rank: int) -> list[Output]:
        """Outputs with so many axes, the batch among them."""
        return [output for output in self.outputs if len(output.dims) == rank]

    def shapes(self) -> str:
        """The outputs for people."""
        return ", ".join(f"{output.name} [N x {show_dims(output.inner)}]" for output in self.outputs)

    def unfit(self, layout: str, expected: str) -> ConfigError:
        """The error that says what a chosen or stated family would have looked like."""
        return ConfigError(
            f"{self.export.path.name} is no {layout}: {expected} expected, its outputs are {self.shapes()}",
            code="models.shapes",
            hint="leave --family out, or choose another one",
        )
