"""`framehouse policy`: brand safety and moderation by a policy file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from framehouse.cli.rulings import Against, All, AsJson, DryRun, Name, Proof, Videos

if TYPE_CHECKING:
    from framehouse.analytics.policy_file import Policy
    from framehouse.analytics.ruling import Ruled
    from framehouse.cli.rulings import Also, Rows
    from framehouse.cli.showing import Proofs
    from framehouse.config import Settings


def policy(
    policy_file: Path = typer.Argument(..., metavar="POLICY.yaml", help="rules; see examples/policies"),
    videos: Videos = None,
    everything: All = False,
    proof: Proof = None,
    check: bool = typer.Option(False, "--check", help="read the policy, name its faults, and stop"),
    name: Name = "",
    against: Against = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Find what a policy forbids, when, and why; from what is stored, so nothing is inferred again.

    Exit code: 0 nothing found and everything judged; 1 something found; 10 nothing found, but not everything could be
    judged; 11 something found, and not everything judged; 2 a fault in the policy.

    Example: framehouse policy examples/policies/brand-safety.yaml street.mp4 --proof proof/
    """
    from framehouse.analytics.policy import FOUND as SAYS_YES
    from framehouse.analytics.policy import unjudged_rules
    from framehouse.cli.output import begin
    from framehouse.cli.rulings import FOUND, NOT_JUDGED, Also, Asked, rule
    from framehouse.cli.showing import Proofs

    settings = begin()
    asked_of = _read(policy_file, settings)
    if check:
        return
    proofs = Proofs(proof, settings, tuple(videos or ()))
    codes: set[int] = set()

    def also(ruled: Ruled) -> Also:
        dark = unjudged_rules(ruled.finding, ruled.video.duration_s, asked_of.allow_unjudged)
        found = bool((ruled.finding.events.kind == SAYS_YES).any())
        codes.update([FOUND] * found, [NOT_JUDGED] * bool(dark))
        verdict = "found" if found else "unjudged" if dark else "clean"
        return Also({"verdict": verdict, "unjudged_rules": dark}, proofs.of(ruled, (SAYS_YES,)))

    asked = Asked(videos, everything, name or asked_of.name, against, dry_run, as_json)
    n_skipped = rule("policy", {"rules": asked_of.rules}, asked, lambda ruled: _rows(ruled, proofs), also)
    raise typer.Exit(sum(codes | ({NOT_JUDGED} if n_skipped else set())))


def _read(path: Path, settings: Settings) -> Policy:
    """The policy of a file; each of its faults is told in a line.

    Raises:
        ConfigError: code `policy.invalid`, it has faults; `policy.unreadable`.
    """
    from framehouse.analytics.policy import PolicyParams
    from framehouse.analytics.policy_file import read_policy
    from framehouse.cli.output import say
    from framehouse.errors import ConfigError
    from framehouse.jobs.rulings import impossible_rules

    read = read_policy(path)
    faults = list(read.faults)
    if read.policy is not None:
        rules = read.policy.rules
        faults = [f"{path.name}: {fault}" for fault in impossible_rules(PolicyParams(rules=rules), settings)]
    for fault in faults:
        say(fault)
    if faults or read.policy is None:
        n = len(faults)
        raise ConfigError(f"{path}: {n} fault{'s' * (n != 1)}", code="policy.invalid", hint="docs/guide/moderation.md")
    return read.policy


def _rows(ruled: Ruled, proofs: Proofs) -> Rows:
    """What was found, and what could not be judged, in order of time."""
    from framehouse.analytics.policy import FOUND
    from framehouse.cli.showing import facts_of, moments

    events = ruled.finding.events
    rows = []
    for i, at, to, score in moments(events):
        facts, rule = facts_of(events, i), str(events.class_name[i])
        if events.kind[i] == FOUND:
            rows.append([at, to, rule, score, facts["reason"], proofs.name(ruled, i)])
        else:
            rows.append([at, to, rule, None, f"NOT JUDGED: {facts['says']}", ""])
    return proofs.columns(["at", "to", "rule", "score", "what"], rows)
