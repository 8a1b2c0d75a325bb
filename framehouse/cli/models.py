"""`framehouse models list | show | check | rebuild`."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="machine-readable")) -> None:
    """List the models of the repository; works with the stack down.

    Example: framehouse models list
    """
    from framehouse.cli.output import begin, emit_json, emit_text, table_text
    from framehouse.inference.cards import load_cards
    from framehouse.inference.repository import load_specs

    repository = begin().model_repository
    titles = {card.slug: card.title for card in load_cards(repository).values()}
    models = [
        {
            "model_id": spec.model_id,
            "kind": spec.kind,
            "width": spec.input_size[0],
            "height": spec.input_size[1],
            "n_classes": len(spec.labels),
            "model_digest": spec.digest,
            "title": titles[spec.slug],
        }
        for spec in load_specs(repository).values()
    ]
    if as_json:
        emit_json(models)
    else:
        columns = ["model", "kind", "input", "classes", "digest", "title"]
        rows = [
            [m["model_id"], m["kind"], f"{m['width']}x{m['height']}", m["n_classes"], m["model_digest"], m["title"]]
            for m in models
        ]
        emit_text(table_text(columns, rows))


@app.command()
def show(model: str = typer.Argument(..., metavar="NAME[/VERSION]")) -> None:
    """Show a model's card as JSON: input, labels, weights with their origin and licence, digest.

    Example: framehouse models show detector
    """
    from framehouse.cli.output import begin, emit_json
    from framehouse.inference.cards import load_cards
    from framehouse.inference.repository import load_specs, resolve

    repository = begin().model_repository
    spec = resolve(load_specs(repository), model)
    card = load_cards(repository)[spec.triton_model]
    emit_json(
        {
            "model_id": spec.model_id,
            "model_digest": spec.digest,
            "triton_model": spec.triton_model,
            "triton_version": spec.triton_version or "by version policy",
            "confidence_floor": spec.confidence_floor,
            **card.model_dump(mode="json", exclude={"slug", "versions", "labels"}),
            "labels": list(spec.labels),
        }
    )


@app.command()
def check() -> None:
    """Check that cards, configurations, weights and hashes of the repository fit each other; exit 1 if any does not.

    Example: framehouse models check
    """
    from framehouse.cli.output import begin, emit_text, say
    from framehouse.inference.repository import check as check_repository

    repository = begin().model_repository
    findings = check_repository(repository)
    emit_text("".join(f"{finding.model}: {finding.message}\n" for finding in findings))
    if findings:
        raise typer.Exit(1)
    say(f"{repository}: all fits")


@app.command()
def rebuild(names: list[str] = typer.Argument(None, metavar="[NAME]...", help="default: all")) -> None:
    """Make weights again from their original, hash-checked package and prove them equal to the ones here.

    Example: framehouse models rebuild detector
    """
    from framehouse.cli.output import begin, emit_text
    from framehouse.inference.zoo import RECIPES
    from framehouse.inference.zoo import rebuild as rebuild_model

    repository = begin().model_repository
    for name in names or list(RECIPES):
        made = rebuild_model(name, repository)
        how = "written" if made.written else "same bytes" if made.same_bytes else "same outputs, bytes differ"
        emit_text(f"{made.name}: {how}, {made.size_bytes} bytes, sha256 {made.sha256}\n")
