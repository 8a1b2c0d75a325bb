"""Policy files: what is read, and the one clear line for each fault."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from framehouse.analytics import policy_file
from framehouse.analytics.policy import USE, PolicyParams
from framehouse.analytics.policy_file import Policy, Rule, parse_policy, read_policy, unknown_labels
from framehouse.errors import ConfigError
from real_parts import ROOT

TAG = "tag:yaml.org,2002:"
NEEDS = "it needs one of classes, tags, texts (with patterns), phrases"
POLICIES = sorted((ROOT / "examples" / "policies").glob("*.yaml"))


def faults(rule: str, head: str = "name: p") -> tuple[str, ...]:
    """Faults of a policy of one rule `r`, given as lines of its keys."""
    lines = "".join(f"    {line}\n" for line in rule.splitlines())
    return parse_policy(f"{head}\nrules:\n  - name: r\n{lines}", "p.yaml").faults


def test_the_examples_of_the_docstrings_hold() -> None:
    tried = doctest.testmod(policy_file)
    assert (tried.failed, tried.attempted > 2) == (0, True)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_every_policy_that_ships_is_whole(path: Path) -> None:
    """Also against the models that ship: no class that a model cannot give."""
    policy = read_policy(path).policy
    assert policy is not None
    assert policy.name == path.stem
    labels = {
        model: (ROOT / "triton_models" / model / "labels.txt").read_text().splitlines()
        for model in ("detector", "tags", "faces")
    }
    nudenet = ROOT / "framehouse/inference/manifest/moderation/models/moderation/labels.txt"
    assert unknown_labels(policy.rules, {**labels, "moderation": nudenet.read_text().splitlines()}) == []


@pytest.mark.parametrize(
    ("rule", "line", "said"),
    [
        ("clases: [bottle]", 4, 'clases: there is no such key; did you mean "classes"?'),
        ("classes: bottle", 4, "classes: must be a list"),
        ("classes: []", 3, f"{NEEDS}, and has none of them"),
        ("classes: [a]\ntexts: [b]", 3, f"{NEEDS}, and has classes and texts"),
        ("classes: [a]\nconfidence: 1.7", 5, "confidence: 1.7 is more than 1"),
        ("classes: [a]\nmin_s: -1", 5, "min_s: -1 is less than 0"),
        ("classes: [a]\nmin_s: soon", 5, 'min_s: "soon" is no number'),
        ("classes: [a]\nat_least: 1.5", 5, "at_least: 1.5 is no whole number"),
        ("classes: [a]\nconfidence: 0.4\nstay: 0.6", 3, "stay is 0.6, above confidence, which is 0.4"),
        ("classes: [a]\nat_least: 2\nfewer_than: 1", 3, "fewer_than goes neither with at_least nor with stay"),
        ("tags: [a]\nat_least: 2", 3, "at_least and fewer_than count objects: they go with classes only"),
        ("tags: [a]\nmin_area: 0.1", 3, "min_area is about boxes: it goes with classes and texts"),
        ("classes: [a]\nagainst: [b]", 3, "against goes with phrases"),
        ("phrases: [a]\nagainst: [a]", 3, "the same text stands in phrases and in against"),
        ("texts: [no]", 4, "texts[1]: False is no text: put it into quotes"),
        ('texts: ["!?"]', 3, '"!?" has no letter to look for'),
        ("patterns: ['(a']", 3, '"(a" is no regular expression: missing ): (a'),
        ("patterns: ['x*']", 3, 'the pattern "x*" fits an empty text, so it fits everything'),
        ("classes: [a]\nclasses: [b]", 5, None),
    ],
)  # fmt: skip
def test_a_fault_has_its_line_its_rule_and_what_is_wrong(rule: str, line: int, said: str | None) -> None:
    expected = f'p.yaml:{line}: rule "r": {said}' if said else f"p.yaml:{line}: classes is given twice"
    assert faults(rule) == (expected,)


def test_every_fault_is_told_at_once_in_order_of_lines() -> None:
    found = parse_policy(
        "name: A B\nabuot: x\nrules:\n- name: one\n  classes: [a]\n  confidence: 2\n"
        "- name: one\n  texts: ['!']\n  at_least: 3\n- 7\n",
        "p.yaml",
    )
    assert found.policy is None
    assert found.faults == (
        'p.yaml:1: name: "A B" is no name: small letters, digits, - and _',
        'p.yaml:2: abuot: there is no such key; did you mean "about"?',
        'p.yaml:6: rule "one": confidence: 2 is more than 1',
        'p.yaml:7: rule "one": at_least and fewer_than count objects: they go with classes only',
        'p.yaml:7: rule "one": "!" has no letter to look for',
        'p.yaml:7: rule "one": another rule has this name',
        "p.yaml:10: rule 3: must be a mapping with name, classes …",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "p.yaml:1: a policy has the keys name and rules"),
        ("[1]", "p.yaml:1: a policy has the keys name and rules"),
        ("name: x", "p.yaml:1: rules: is missing"),
        ("name: x\nrules: []", "p.yaml:2: rules: is empty"),
        ("name: x\nrules: {}", "p.yaml:2: rules: must be a list"),
        ("name: x\nrules:\n - a\n- b", "p.yaml:4: not YAML: expected <block end>, but found '-'"),
        ("name: !!set/x [ls]", f"p.yaml:1: not YAML: could not determine a constructor for the tag '{TAG}set/x'"),
    ],
)  # fmt: skip
def test_what_is_no_policy_at_all(text: str, fault: str) -> None:
    assert parse_policy(text, "p.yaml").faults == (fault,)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(ConfigError) as caught:
            read_policy(path)
        assert caught.value.code == "policy.unreadable"


def test_defaults_depend_on_the_evidence() -> None:
    rules = [Rule(name="a", classes=("x",)), Rule(name="b", texts=("x",)), Rule(name="c", phrases=("x",))]
    assert [(rule.model, rule.evidence) for rule in rules] == [
        ("detector", "classes"), ("ocr", "texts"), ("clip", "phrases"),
    ]  # fmt: skip
    assert rules[2].against
    assert not rules[0].against
    assert Rule(name="d", tags=("x",), model="mobilenet-v2", confidence=0.2).confidence == 0.2


def test_comments_are_no_part_of_what_was_asked() -> None:
    one, other, third = (
        USE.ruleset(PolicyParams(rules=(Rule(name="r", why=why, classes=("a",), confidence=sure),))).ruleset_id
        for why, sure in (("p", 0.4), ("q", 0.4), ("p", 0.5))
    )
    assert one == other != third


def test_classes_that_a_model_cannot_give_are_faults() -> None:
    policy = Policy(
        name="p",
        rules=(
            Rule(name="typo", classes=("cel phone", "PERSON")),
            Rule(name="star", classes=("*_exposed",), model="moderation"),
            Rule(name="mine", classes=("x",), model="mine"),
        ),
    )  # fmt: skip
    labels = {"detector": ["person", "cell phone"], "moderation": ["FACE"]}
    assert unknown_labels(policy.rules, labels) == [
        'rule "typo": detector has no class "cel phone"; did you mean "cell phone"?',
        'rule "star": moderation has no class "*_exposed"',
    ]
