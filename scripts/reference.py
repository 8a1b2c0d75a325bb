"""Write docs/reference/ from the program itself: `make reference`.

Tables, views and macros come from a database of this release and the headers of their `.sql` files, commands from the
command line, settings from `framehouse.config`, errors from the tree and every place that narrows a code, HTTP from the
OpenAPI document. A contract test compares the pages with what this would write.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
PACKAGE = ROOT / "framehouse"
_MADE = "<!-- Written by scripts/reference.py (`make reference`). Change what it reads, not this page. -->"
_LABELS = re.compile(r"(?:^| )(Grain|Gives|Columns|Arguments|Example): ")


def pages() -> dict[str, str]:
    """File name to text, of every page."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder))
        written = {
            "tables.md": tables_page(database),
            "views.md": views_page(database),
            "macros.md": macros_page(database),
            "commands.md": commands_page(),
            "settings.md": settings_page(),
            "errors.md": errors_page(),
            "http.md": http_page(Path(folder)),
        }
    return {"README.md": index_page(written), **written}


# ---------------------------------------------------------------- the database


class Database:
    """What a new database of this release says of itself."""

    def __init__(self, folder: Path) -> None:
        from framehouse.store.connection import writing
        from framehouse.store.migrate import migrate

        with writing(folder / "reference.duckdb") as connection:
            migrate(connection)

            def ask(sql: str) -> list[tuple[Any, ...]]:
                rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
                return rows

            self.tables = dict(
                ask("SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal ORDER BY table_name")
            )
            self.views = dict(
                ask("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name")
            )
            self.macros = ask(
                "SELECT function_name, function_type, parameters, comment FROM duckdb_functions()"
                " WHERE NOT internal AND function_type LIKE '%macro%' ORDER BY function_name"
            )
            self.columns: dict[str, list[tuple[str, str, str]]] = {}
            for owner, *column in ask(
                "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal"
                " ORDER BY table_name, column_index"
            ):
                self.columns.setdefault(owner, []).append((column[0], column[1], column[2] or ""))


def header(folder: str, name: str) -> dict[str, str]:
    """What the comment at the head of a `.sql` file says, by label; empty where there is no file."""
    path = PACKAGE / "store" / folder / f"{name}.sql"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    ahead = [line.removeprefix("--").strip() for line in lines[: _first_code(lines)]]
    parts = _LABELS.split(" ".join(ahead))
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def _first_code(lines: Sequence[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))


def tables_page(database: Database) -> str:
    """Every table with its columns."""
    sections = [
        f"## {name}\n\n{database.tables[name]}\n\n{columns_table(database.columns[name])}" for name in database.tables
    ]
    return page(
        "Tables",
        "Tables of the published snapshot, for `framehouse sql`, `/v1/query`, notebooks and `framehouse export`."
        " Ask a database itself with `SHOW TABLES`, `DESCRIBE detections` or `SELECT column_name, comment FROM"
        " duckdb_columns()`. [Views](views.md) answer the frequent questions.",
        database.tables,
        sections,
    )


def views_page(database: Database) -> str:
    """Every view with its question and its columns."""
    sections = []
    for name, comment in database.views.items():
        question, sql = example(header("views", name).get("Example", ""))
        columns = columns_table(database.columns[name])
        sections.append(f"## {name}\n\n{comment}\n\n*{question}*\n\n{code('sql', sql)}\n\n{columns}")
    return page(
        "Views",
        "Views over the [tables](tables.md), each with a question that it answers. Those that count apply a threshold:"
        " `asked_confidence()`, 0.4 unless you set it (`--confidence`, or `SET VARIABLE confidence = 0.6`).",
        database.views,
        sections,
    )


def macros_page(database: Database) -> str:
    """Every macro with its arguments and its question."""
    sections = []
    for name, kind, parameters, comment in database.macros:
        said = header("macros", name)
        call = f"{'FROM ' if kind == 'table_macro' else ''}{name}({', '.join(parameters)})"
        lines = [f"## {name}", f"`{call}`", comment or ""]
        lines += [f"{label}: {said[label]}" for label in ("Gives", "Arguments") if label in said]
        if "Example" in said:
            question, sql = example(said["Example"])
            lines += [f"*{question}*", code("sql", sql)]
        sections.append("\n\n".join(lines))
    return page(
        "Macros",
        "Functions of the database, for use in SQL. An argument that has a default is given by name: `until_s := 3`.",
        [name for name, *_ in database.macros],
        sections,
    )


def example(text: str) -> tuple[str, str]:
    """(question, SQL) of a header's example."""
    question, mark, sql = text.partition("? ")
    return question + mark.strip(), sql.removesuffix(";")


def columns_table(columns: Iterable[tuple[str, str, str]]) -> str:
    """The columns of a table or view."""
    return table(["column", "type", "meaning"], [[f"`{name}`", f"`{kind}`", said] for name, kind, said in columns])


# ---------------------------------------------------------------- the command line


def commands_page() -> str:
    """Every command with its arguments, options and example."""
    import typer.main

    from framehouse.cli.exit_codes import EXIT_CODES
    from framehouse.cli.main import app

    found = dict(commands(typer.main.get_command(app), ("framehouse",)))
    codes = ", ".join(f"{number} {kind.__name__}" for kind, number in sorted(EXIT_CODES.items(), key=lambda i: i[1]))
    return page(
        "Commands",
        "Every command has `--help`. Results go to stdout, everything else to stderr; an error is one line with its"
        " [code](errors.md). `--debug` before the command shows a traceback. Exit codes: 0 done, 1 a run with failed"
        f" videos or a check with findings, 2 wrong usage, 130 interrupted; of errors: {codes}.",
        found,
        [f"## {name}\n\n{text}" for name, text in found.items()],
    )


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(name, text) of each command below a group, depth first."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))
    if getattr(command, "commands", None):
        return
    said, _, shown = inspect.cleandoc(command.help or "").partition("Example: ")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([*words, *(p.metavar or p.name.upper() for p in arguments), *(["[OPTIONS]"] if options else [])])
    text = f"`{usage}`\n\n{said.strip()}\n\n{code('bash', ' '.join(shown.split()))}"
    if command.params:
        rows = [[f"`{p.metavar or p.name.upper()}`", p.help or "", ""] for p in arguments]
        rows += [[option_name(p), option_help(p), default_of(p)] for p in options]
        text += f"\n\n{table(['argument or option', 'meaning', 'default'], rows)}"
    yield " ".join(words[1:]), text


def option_name(option: Any) -> str:
    """As it is typed."""
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" `{option.metavar or kind_of(option)}`"
    return names + value + (" (repeatable)" if option.multiple else "")


def option_help(option: Any) -> str:
    """What it says, with the values that can be chosen from and its limits."""
    kind = getattr(option.type_descriptor, "annotation", None)
    choices = [str(one.value) for one in kind] if inspect.isclass(kind) and issubclass(kind, Enum) else []
    low, high = getattr(option, "min", None), getattr(option, "max", None)
    limits = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
    said = [option.help or "", " | ".join(choices), "required" if option.required else ""]
    return "; ".join(part for part in [*said, limits if limits != ".." else ""] if part)


def kind_of(option: Any) -> str:
    """What an option takes, in capitals as help has it."""
    text = str(getattr(option.type_descriptor, "annotation", "TEXT"))
    for name, shown in (("Path", "PATH"), ("float", "NUMBER"), ("int", "INTEGER")):
        if name in text:
            return shown
    return "TEXT" if "str" in text else "CHOICE"


def default_of(option: Any) -> str:
    """The default, where there is one to tell."""
    default = option.default.value if isinstance(option.default, Enum) else option.default
    if default in (None, "", False, [], ()) or callable(default):
        return ""
    return f"`{', '.join(map(str, default)) if isinstance(default, list) else default}`"


# ---------------------------------------------------------------- settings and errors


def settings_page() -> str:
    """Every setting by its environment variable."""
    from framehouse.config import Settings

    groups: dict[str, list[tuple[str, Any]]] = {"general": []}
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        if inner is None:
            groups["general"].append((f"FRAMEHOUSE_{name.upper()}", field))
        else:
            groups[name] = [(f"FRAMEHOUSE_{name}__{key}".upper(), value) for key, value in inner.items()]
    sections = []
    for name, fields in groups.items():
        owner = Settings.model_fields[name].annotation if name in Settings.model_fields else Settings
        rows = [[f"`{key}`", setting_default(field), field.description or ""] for key, field in fields]
        said = inspect.cleandoc(owner.__doc__ or "")
        sections.append(f"## {name}\n\n{said}\n\n{table(['variable', 'default', 'meaning'], rows)}")
    return page(
        "Settings",
        "Environment variables, read once when a process starts. Lists and maps are JSON.",
        groups,
        sections,
    )


def setting_default(field: Any) -> str:
    """The default as it would be typed."""
    default = field.get_default(call_default_factory=True)
    if default is None or str(default) in ("", ".", "[]", "{}"):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def errors_page() -> str:
    """Every class of the tree, and every narrower code."""
    from framehouse.api.errors import STATUS
    from framehouse.cli.exit_codes import exit_code
    from framehouse.errors import all_errors

    rows = []
    tree = [kind for kind in all_errors() if kind.__module__.startswith("framehouse.")]
    for kind in tree:
        status = next(STATUS[parent] for parent in kind.__mro__ if parent in STATUS)
        again = "yes" if kind.retryable else ""
        said = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
        numbers = [str(status), str(exit_code(kind("")))]
        rows.append([f"`{kind.default_code}`", kind.__name__, *numbers, again, said, kind.default_hint])
    columns = ["code", "class", "HTTP", "exit", "tried again", "meaning", "what to try"]
    narrow = [[f"`{name}`", kind, says, hint] for name, kind, says, hint in narrow_codes({k.__name__ for k in tree})]
    return page(
        "Errors",
        "Every failure has a stable code: in the line that a command prints, in `jobs.error_code`, in the body of an"
        " HTTP answer. A code is never changed or reused.",
        ["Classes", "Narrower codes"],
        [
            f"## Classes\n\n{table(columns, rows)}",
            "## Narrower codes\n\nWhat is raised under a code of its own says more than its class. `…` stands for a"
            f" name or number.\n\n{table(['code', 'class', 'says', 'what to try'], narrow)}",
        ],
    )


def narrow_codes(classes: set[str]) -> list[tuple[str, str, str, str]]:
    """(code, class, message, hint) of every code that a raiser gives by name; of several raisers the first by file."""
    found: dict[str, tuple[str, str, str, str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            kind = getattr(call.func, "id", getattr(call.func, "attr", ""))
            given = {keyword.arg: template(keyword.value) for keyword in call.keywords}
            name = given.get("code", "")
            if kind in classes and re.fullmatch(r"[a-z]+\.[a-z_0-9]+", name):
                said = template(call.args[0]) if call.args else ""
                found.setdefault(name, (name, kind, said, given.get("hint", "")))
    return [found[name] for name in sorted(found)]


def template(node: ast.expr) -> str:
    """A text in the source, with … for what is only known when it runs."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return re.sub("…+", "…", "".join(template(part) for part in node.values))
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return "…"


# ---------------------------------------------------------------- HTTP


def http_page(folder: Path) -> str:
    """Every route of the OpenAPI document."""
    routes = openapi(folder)["paths"]
    groups: dict[str, list[str]] = {}
    for path, methods in sorted(routes.items()):
        for method, route in methods.items():
            groups.setdefault(group_of(path), []).append(route_text(method.upper(), path, route))
    return page(
        "HTTP",
        "Routes of the server, as `/openapi.json` has them; a running server shows the same with every field at"
        ' `/docs`. [Errors](errors.md) have one form: `{"error": {"code", "message", "hint"}}`. There is a'
        " [guide](../guide/api.md).",
        groups,
        [f"## {name}\n\n" + "\n\n".join(texts) for name, texts in groups.items()],
    )


def openapi(folder: Path) -> dict[str, Any]:
    """The document of a server with default settings."""
    from unittest import mock

    from framehouse.api.app import create_app
    from framehouse.config import Settings

    plain = {name: value for name, value in os.environ.items() if not name.startswith("FRAMEHOUSE_")}
    with mock.patch.dict(os.environ, plain, clear=True):
        app = create_app(Settings(home=folder / "home"))
    document: dict[str, Any] = app.openapi()
    app.state.api.state.close()
    return document


def group_of(path: str) -> str:
    """The resource that a path belongs to."""
    first = path.strip("/").split("/")
    if first[0] == "v1" and len(first) > 1:
        return f"/v1/{first[1]}"
    return "Compatible and other routes"


def route_text(method: str, path: str, route: dict[str, Any]) -> str:
    """One route: what it does, what it takes."""
    lines = [f"### `{method} {path}`", route.get("summary", "")]
    said = inspect.cleandoc(route.get("description", ""))
    if said and said.rstrip(".") != route.get("summary", "").rstrip("."):
        lines.append(said)
    rows = [parameter_row(parameter) for parameter in route.get("parameters", [])]
    if rows:
        lines.append(table(["parameter", "in", "type", "meaning"], rows))
    for kind, content in route.get("requestBody", {}).get("content", {}).items():
        lines.append(f"Body: `{kind}`, {schema_text(content.get('schema', {}))}.")
    return "\n\n".join(line.strip() for line in lines if line)


def parameter_row(parameter: dict[str, Any]) -> list[str]:
    """One parameter of a route."""
    schema = parameter["schema"]
    place = parameter["in"] + (", required" if parameter.get("required") else "")
    said = parameter.get("description", schema.get("description", ""))
    return [f"`{parameter['name']}`", place, schema_text(schema), said]


def schema_text(schema: dict[str, Any]) -> str:
    """A type in a word or two."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(schema_text(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {schema_text(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


# ---------------------------------------------------------------- Markdown


def page(title: str, intro: str, names: Iterable[str], sections: Sequence[str]) -> str:
    """A page with its list of contents."""
    contents = " · ".join(f"[{name}](#{anchor(name)})" for name in names)
    return f"# {title}\n\n{_MADE}\n\n{intro}\n\n{contents}\n\n" + "\n\n".join(s.rstrip() for s in sections) + "\n"


def index_page(written: dict[str, str]) -> str:
    """The page that lists the others, with the first sentence of each."""
    rows = []
    for name, text in written.items():
        title, _, intro, *_ = text.split("\n\n")
        rows.append([f"[{title.removeprefix('# ')}]({name})", re.split(r"(?<=[.])\s(?=[A-Z])", intro)[0]])
    return f"# Reference\n\n{_MADE}\n\n{table(['page', 'what it holds'], rows)}"


def anchor(name: str) -> str:
    """As Markdown makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")


def code(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "".join(
        f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows
    )


def main() -> int:
    """Write the pages."""
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
