"""`framehouse rulesets list | show | again | remove`: what was asked of the archive, with which parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Ruled, Skipped
    from framehouse.results.findings import FindingHead
    from framehouse.results.lake import Lake

app = typer.Typer(no_args_is_help=True)

_LIST = """
SELECT r.ruleset_id, r.kind, r.name, count(*) AS n_videos, sum(f.n_events)::BIGINT AS n_events,
    sum(f.n_scenes)::BIGINT AS n_scenes,
    round(sum(f.judged_s) / nullif(sum(f.judged_s + f.unjudged_s), 0), 3) AS judged, max(f.made_at) AS last_used_at
FROM rulesets r JOIN findings f USING (ruleset_id)
WHERE $kind = '' OR r.kind = $kind
GROUP BY ALL ORDER BY last_used_at DESC, r.ruleset_id
"""
_LOADED = "SELECT ruleset_id, video_id FROM findings"


@app.command("list")
def list_(
    kind: str = typer.Option("", "--kind", help="only of this kind: lines, presence, scenes …"),
    limit: int = typer.Option(100, "--limit", min=1),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """List the rulesets, those used last first; works with the stack down.

    `judged`: share of the videos' time that could be judged. What was found is in the tables events, scenes and tracks.

    Example: framehouse rulesets list --kind lines
    """
    from framehouse.cli.output import Format, begin, emit_rows, say
    from framehouse.results.finding_files import finding_keys
    from framehouse.results.opening import open_lake
    from framehouse.store.query import run_query

    settings = begin()
    memory = settings.store.query_memory
    result = run_query(settings.store_dir, _LIST, params={"kind": kind}, max_rows=limit, memory=memory)
    emit_rows(result, Format.JSON if as_json else Format.TABLE, None)
    loaded = run_query(settings.store_dir, _LOADED, max_rows=None, memory=memory).rows()
    waiting = set(finding_keys(open_lake(*settings.lake_place))) - set(loaded)
    if waiting:
        say(f"{len(waiting)} findings wait to be loaded: the running stack does it, or framehouse db publish")


@app.command()
def show(
    ruleset: str = typer.Argument(..., metavar="RULESET", help="an id (r_…) or a name"),
) -> None:
    """Show a ruleset as JSON: its parameters, and the videos that it was asked about.

    Example: framehouse rulesets show "front door"
    """
    from framehouse.cli.output import begin, emit_json
    from framehouse.results.opening import open_lake

    heads = find_heads(open_lake(*begin().lake_place), ruleset)
    rules = max(heads, key=lambda head: head.made_at).ruleset
    videos = [
        {"video_id": head.video_id, "judged_s": head.judged_s, "unjudged_s": head.unjudged_s, "made_at": head.made_at}
        for head in heads
    ]
    facts = {"ruleset_id": rules.ruleset_id, "kind": rules.kind, "name": rules.name, "version": rules.version}
    first = min(head.first_at for head in heads)
    emit_json({**facts, "params": dict(rules.params), "first_used_at": first, "videos": videos})


@app.command()
def again(
    ruleset: str = typer.Argument(..., metavar="RULESET", help="an id (r_…) or a name"),
    everything: bool = typer.Option(False, "--all", help="of every video that was run, not only of its own"),
    dry_run: bool = typer.Option(False, "--dry-run", help="show it and keep nothing"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Ask a ruleset again with the same parameters: what it found is made anew where the stored rows are others by now.

    Rows change when more frames are inferred (a backfill, a finer rate, a retry of gaps). With --all, videos that came
    since are asked too.

    Example: framehouse rulesets again "front door" --all
    """
    from framehouse.analytics.ruling import Keeping, Ruled, keep, run_ruleset
    from framehouse.analytics.uses import use_of
    from framehouse.cli.output import begin, emit_json, emit_text, say, table_text
    from framehouse.jobs.rulings import prepared
    from framehouse.jobs.submit import connect
    from framehouse.results.opening import open_lake
    from framehouse.store.archive import open_archive

    settings = begin()
    lake = open_lake(*settings.lake_place)
    heads = find_heads(lake, ruleset)
    rules = max(heads, key=lambda head: head.made_at).ruleset
    use = use_of(rules.kind)
    params = prepared(use.check(rules.params), settings)
    known = {head.video_id: head.input_digest for head in heads if use.ruleset(params).ruleset_id == rules.ruleset_id}
    state = None if dry_run else connect(settings)
    with open_archive(settings.store_dir, memory=settings.store.query_memory, lake=lake) as archive:
        own = {head.video_id for head in heads}
        wanted = [video_id for video_id in archive.video_ids() if everything or video_id in own]
        rows = []
        for one in run_ruleset(archive, Keeping(lake, None, dry_run=True), use, params, wanted, name=rules.name):
            rows.append(_again_row(one, known))
            if isinstance(one, Ruled) and rows[-1][-1] != _SAME:
                keep(Keeping(lake, state, dry_run), one.finding)
    if state is not None:
        state.close()
    if as_json:
        emit_json([dict(zip(_AGAIN, row, strict=True)) for row in rows])
    else:
        emit_text(table_text(_AGAIN, rows) if rows else "no video is left of those that it was asked about\n")
    changes = [row[-1] for row in rows]
    counts = ", ".join(f"{changes.count(word)} {word}" for word in dict.fromkeys(changes))
    say(f"{rules.name or rules.ruleset_id}: {counts or 'nothing to do'}{' (a trial, nothing kept)' if dry_run else ''}")


_SAME = "the same"
_AGAIN = ("video_id", "video", "judged_s", "unjudged_s", "events", "findings")


def _again_row(one: Ruled | Skipped, known: dict[str, str]) -> list[Any]:
    """`findings`: new, changed (its rows were others), the same, or the code that says why it was not judged."""
    from framehouse.analytics.ruling import Skipped

    if isinstance(one, Skipped):
        return [one.video_id, "", None, None, None, one.error.code]
    found = one.finding
    before = known.get(found.video_id)
    word = "new" if before is None else _SAME if before == found.input_digest else "changed"
    judged = (round(found.judged_s, 1), round(found.unjudged_s, 1))
    return [found.video_id, one.video.name, *judged, len(found.events), word]


@app.command()
def remove(
    ruleset: str = typer.Argument(..., metavar="RULESET", help="an id (r_…) or a name"),
) -> None:
    """Remove what a ruleset found, in all videos. The same command with the same parameters finds it again.

    Example: framehouse rulesets remove "front door"
    """
    from framehouse.cli.output import begin, say
    from framehouse.jobs.submit import connect
    from framehouse.results.finding_files import delete_finding
    from framehouse.results.opening import open_lake

    settings = begin()
    lake = open_lake(*settings.lake_place)
    keys = [(head.ruleset.ruleset_id, head.video_id) for head in find_heads(lake, ruleset)]
    state = connect(settings)
    for key in keys:
        delete_finding(lake, *key)
    state.request_findings(keys)
    state.close()
    say(f"gone: {keys[0][0]} in {len(keys)} videos; the rows go with the next publish")


def find_heads(lake: Lake, wanted: str) -> list[FindingHead]:
    """The findings of a ruleset, by video; of several that share a name, the one used last.

    Raises:
        StoreError: code `store.no_ruleset`.
    """
    from framehouse.errors import StoreError
    from framehouse.results.finding_files import finding_keys, read_head

    ids = {wanted} if wanted.startswith("r_") else {ruleset_id for ruleset_id, _ in finding_keys(lake)}
    found: list[list[FindingHead]] = []
    for ruleset_id in sorted(ids):
        heads = [read_head(lake, *key) for key in finding_keys(lake, ruleset_id)]
        found.append([head for head in heads if head])
    fitting = [heads for heads in found if any(wanted in (h.ruleset.ruleset_id, h.ruleset.name) for h in heads)]
    if not wanted or not fitting:
        raise StoreError(f"no ruleset is {wanted!r}", code="store.no_ruleset", hint="see: framehouse rulesets list")
    return max(fitting, key=lambda heads: max(head.made_at for head in heads))
