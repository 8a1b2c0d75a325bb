"""The policy file: what must not be in a video (or must be), as rules that people can read.

::

    name: brand-safety
    rules:
      - name: alcohol
        classes: [bottle, wine glass]        # what a detector sees
        confidence: 0.5
        min_s: 1
      - name: gambling
        texts: [casino, free spins]          # what the OCR reads
        patterns: ['\\d+ ?% bonus']

Each rule has one kind of evidence; see `Rule`. A file is refused as a whole, with a line for every fault in it.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from framehouse.analytics.written import has_pattern, words_of
from framehouse.errors import ConfigError

Evidence = Literal["classes", "tags", "texts", "phrases"]
MOST_BYTES = 1_000_000
DEFAULT_MODELS: Mapping[Evidence, str] = {"classes": "detector", "tags": "tags", "texts": "ocr", "phrases": "clip"}
DEFAULT_CONFIDENCE: Mapping[Evidence, float] = {"classes": 0.4, "tags": 0.4, "texts": 0.5, "phrases": 0.7}
NEUTRAL = (
    "a photo of a person", "a photo of people", "a photo of a street", "a photo of a room", "a photo of nature",
    "a photo of an animal", "a photo of a vehicle", "a photo of food", "a cartoon", "a text on a plain background",
    "a blurry picture", "a black picture",
)  # fmt: skip
"""What phrases compete with when a rule names nothing else: ordinary pictures."""

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
_EVIDENCE: Mapping[str, Evidence] = {
    "classes": "classes", "tags": "tags", "texts": "texts", "patterns": "texts", "phrases": "phrases",
}  # fmt: skip


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Form):
    """One thing to look for. Exactly one of `classes`, `tags`, `texts` and `patterns`, `phrases` says what.

    A frame says yes when it has `at_least` so many objects, each as sure as `confidence`; or, for classes alone, when
    it has `fewer_than` so many. A frame without an answer of the model says neither.
    """

    name: _Name
    why: str = Field(default="", max_length=500, exclude=True)
    """For people; no part of what was asked."""
    model: str = Field(default="", max_length=100)
    """slug or slug/version; empty for the usual one of the evidence."""
    classes: tuple[_Line, ...] = ()
    """Classes of objects; `*` stands for any letters."""
    tags: tuple[_Line, ...] = ()
    """Classes of whole pictures; `*` as above."""
    texts: tuple[_Line, ...] = ()
    patterns: tuple[_Line, ...] = ()
    """See `analytics.written`."""
    phrases: tuple[_Line, ...] = ()
    against: tuple[_Line, ...] = ()
    """What a CLIP takes each picture for, these among others: the score is what `phrases` have of the whole."""
    confidence: _Share = 0.0
    stay: _Share | None = None
    """An interval that has begun goes on down to this confidence."""
    at_least: int = Field(default=1, ge=1, le=1000)
    fewer_than: int | None = Field(default=None, ge=1, le=1000)
    min_area: _Share = 0.0
    """Smaller boxes do not count: share of the picture."""
    min_s: _Seconds = 0.0
    join_s: _Seconds = 1.0
    """Intervals at most this far apart are one."""

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, given: Any) -> Any:
        """Defaults that depend on the evidence."""
        if not isinstance(given, dict) or len(kinds := _kinds(given)) != 1:
            return given
        filled = {"model": DEFAULT_MODELS[kinds[0]], "confidence": DEFAULT_CONFIDENCE[kinds[0]]}
        if kinds[0] == "phrases":
            filled["against"] = NEUTRAL
        return {**filled, **given}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if faults := list(_contradictions(self)):
            raise ValueError("\n".join(faults))
        return self

    @property
    def evidence(self) -> Evidence:
        """What kind of rows it needs."""
        return _kinds(self.__dict__)[0]

    def wants(self, label: str) -> bool:
        """Whether a class of the model is one of those listed."""
        return any(fnmatch.fnmatchcase(label.casefold(), wanted.casefold()) for wanted in self.classes + self.tags)


class Policy(_Form):
    """Rules that belong together.

    `allow_unjudged`: share of a video that may be unjudged by a rule without the video counting as not judged.
    """

    name: _Name
    about: str = Field(default="", max_length=2000)
    allow_unjudged: _Share = 0.0
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=200)


@dataclass(frozen=True, slots=True)
class Read:
    """A policy file as it was read: a policy, or None and one line for each fault."""

    policy: Policy | None
    faults: tuple[str, ...] = ()


def read_policy(path: Path) -> Read:
    """Read a policy file; see `parse_policy`.

    Raises:
        ConfigError: code `policy.unreadable`, there is no such text file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"{path}: {why}", code="policy.unreadable", hint="a policy is a YAML file") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path} has more than {MOST_BYTES} bytes", code="policy.unreadable")
    return parse_policy(text, path.name)


def parse_policy(text: str, where: str) -> Read:
    """A policy out of YAML, or its faults, each as `where:line: rule "name": key: what is wrong`.

    >>> parse_policy("name: x\\nrules:\\n- name: bottles\\n  classes: [bottle]\\n  confidence: 7", "x.yaml").faults
    ('x.yaml:5: rule "bottles": confidence: 7 is more than 1',)
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        given = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Read(None, (_not_yaml(error, where),))
    if not isinstance(given, dict):
        return Read(None, (f"{where}:1: a policy has the keys name and rules",))
    faults = [f"{where}:{line}: {key} is given twice" for line, key in _twice(tree)]
    policy = None
    try:
        policy = Policy.model_validate(given)
    except ValidationError as error:
        faults += [line for detail in error.errors(include_url=False) for line in _faults(where, tree, given, detail)]
    names = [rule.get("name") for rule in _rules(given)]
    faults += [
        f'{where}:{_line(tree, ("rules", i, "name"))}: rule "{name}": another rule has this name'
        for i, name in enumerate(names)
        if isinstance(name, str) and name in names[:i]
    ]
    in_order = sorted(dict.fromkeys(faults), key=lambda fault: int(fault.removeprefix(f"{where}:").split(":")[0]))
    return Read(None if faults else policy, tuple(in_order))


def unknown_labels(rules: Sequence[Rule], labels: Mapping[str, Sequence[str]]) -> list[str]:
    """One line for each class or tag that the rule's model cannot give, as such a rule would never find anything.

    Args:
        labels: model as the rules name it -> its classes; a model that is not named here is not checked.

    >>> rule = Rule(name="phone", classes=("cel phone",))
    >>> unknown_labels([rule], {"detector": ["person", "cell phone"]})
    ['rule "phone": detector has no class "cel phone"; did you mean "cell phone"?']
    """
    found = []
    for rule in rules:
        known = labels.get(rule.model)
        if rule.evidence not in ("classes", "tags") or known is None:
            continue
        for label in rule.classes + rule.tags:
            if not any(fnmatch.fnmatchcase(one.casefold(), label.casefold()) for one in known):
                found.append(f'rule "{rule.name}": {rule.model} has no class "{label}"{_meant(label, known)}')
    return found


def _kinds(given: Mapping[str, Any]) -> list[Evidence]:
    return list(dict.fromkeys(kind for key, kind in _EVIDENCE.items() if given.get(key)))


def _contradictions(rule: Rule) -> Iterator[str]:
    kinds = _kinds(rule.__dict__)
    if len(kinds) != 1:
        named = " and ".join(kinds) or "none of them"
        yield f"it needs one of classes, tags, texts (with patterns), phrases, and has {named}"
        return
    is_objects = kinds[0] == "classes"
    if not is_objects and (rule.at_least > 1 or rule.fewer_than is not None):
        yield "at_least and fewer_than count objects: they go with classes only"
    if rule.fewer_than is not None and (rule.at_least > 1 or rule.stay is not None):
        yield "fewer_than goes neither with at_least nor with stay"
    if rule.stay is not None and rule.stay > rule.confidence:
        yield f"stay is {rule.stay:g}, above confidence, which is {rule.confidence:g}"
    if rule.min_area and kinds[0] in ("tags", "phrases"):
        yield "min_area is about boxes: it goes with classes and texts"
    if rule.against and kinds[0] != "phrases":
        yield "against goes with phrases"
    if set(rule.against) & set(rule.phrases):
        yield "the same text stands in phrases and in against"
    yield from (f'"{text}" has no letter to look for' for text in rule.texts if not words_of(text))
    for pattern in rule.patterns:
        try:
            if has_pattern([""], pattern)[0]:
                yield f'the pattern "{pattern}" fits an empty text, so it fits everything'
        except ValueError as error:
            yield f'"{pattern}" is no regular expression: {str(error).removeprefix("Invalid regular expression: ")}'


def _faults(where: str, tree: Any, given: Mapping[str, Any], detail: ErrorDetails) -> list[str]:
    place = tuple(detail["loc"])
    if place == ("rules",) and detail["type"] == "too_short" and _rules(given):
        return []  # the rules that are there have faults of their own
    subject = ""
    if len(place) > 1 and isinstance(place[1], int):
        name = _rules(given)[place[1]].get("name")
        subject = f'rule "{name}": ' if isinstance(name, str) else f"rule {place[1] + 1}: "
    keys = [str(part) for part in (place[2:] if subject else place)]
    key = "".join([*keys[:1], *(f"[{int(part) + 1}]" if part.isdecimal() else f".{part}" for part in keys[1:])])
    start = f"{where}:{_line(tree, place)}: {subject}{key}{': ' if key else ''}"
    return [start + line for line in _said(detail, keys).splitlines()]


_SAID: Mapping[str, str] = {
    "missing": "is missing",
    "less_than_equal": "{value} is more than {bound:g}",
    "greater_than_equal": "{value} is less than {bound:g}",
    "string_pattern_mismatch": '"{value}" is no name: small letters, digits, - and _',
    "tuple_type": "must be a list",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "string_type": "{value} is no text: put it into quotes",
    "float_parsing": '"{value}" is no number',
    "float_type": "{value} is no number",
    "int_parsing": '"{value}" is no whole number',
    "int_type": "{value} is no whole number",
    "int_from_float": "{value} is no whole number",
    "model_type": "must be a mapping with name, classes …",
    "dict_type": "must be a mapping with name, classes …",
}
"""Pydantic's types of faults that people make, in our words."""


def _said(detail: ErrorDetails, keys: Sequence[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = Rule.model_fields if detail["loc"][0] == "rules" else Policy.model_fields
        return f"there is no such key{_meant(keys[-1], list(known))}"
    if kind in _SAID:
        shown = str(detail["input"]).partition("\n")[0][:80]
        return _SAID[kind].format(value=shown, bound=context.get("le", context.get("ge", 0)))
    return str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")


def _meant(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word.casefold(), [one.casefold() for one in known], n=1)
    real = next((one for one in known if near and one.casefold() == near[0]), "")
    return f'; did you mean "{real}"?' if real else ""


def _rules(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    rules = given.get("rules")
    return [rule if isinstance(rule, dict) else {} for rule in rules] if isinstance(rules, list) else []


def _not_yaml(error: Exception, where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else 1
    return f"{where}:{line}: not YAML: {getattr(error, 'problem', None) or str(error).splitlines()[0]}"


def _line(tree: Any, place: Sequence[str | int]) -> int:
    """Line of the deepest node on the way to a place; a key's own line rather than its value's."""
    node, line = tree, 1 if tree is None else tree.start_mark.line + 1
    for part in place:
        following = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    following, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            following = node.value[part]
            line = following.start_mark.line + 1
        if following is None:
            return line
        node = following
    return line


def _twice(node: Any) -> Iterator[tuple[int, str]]:
    """(line, key) of keys that a mapping has twice: YAML would silently take the last one."""
    children = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from (
            (key.start_mark.line + 1, str(key.value))
            for i, (key, _) in enumerate(node.value)
            if isinstance(key.value, str) and key.value in keys[:i]
        )
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        yield from _twice(child)
