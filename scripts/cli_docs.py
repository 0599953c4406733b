"""Write docs/cli.md from the commands themselves: `python scripts/cli_docs.py`. A test sees to it that it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from riacho.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"

_INTRODUCTION = """# The command line

<!-- Made by scripts/cli_docs.py from the commands themselves. -->

`riacho COMMAND --help` says the same on the terminal. Exit codes: 0 it worked, 1 it failed, 2 the words were wrong, 130
Ctrl-C. An error is one line: what is wrong, then `→` and the way out; `--verbose` adds the whole traceback and what the
server logs. Without a terminal there are no colours and no moving parts. What was asked for goes to standard output,
what is said beside it to standard error.
"""
_KINDS = {"int": "NUMBER", "float": "NUMBER", "str": "TEXT", "path": "PATH", "file": "FILE"}
_REMARK = re.compile(r"\[dim\](.*?)\[/\]")
_MARKUP = re.compile(r"\[/?(?:bold|dim|/)?\]")


def render() -> str:
    """The page as it should be."""
    group = typer.main.get_command(app)
    with group.make_context("riacho", [], resilient_parsing=True) as context:
        sections = [section for command in _commands(group, context, "riacho") for section in command]
    return "\n".join([_INTRODUCTION, *sections])


def _commands(group: Any, context: Any, path: str) -> Iterator[list[str]]:
    """The sections of a group's commands, each before those below it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        title = f"{path} {name}"
        with command.make_context(name, [], parent=context, resilient_parsing=True) as inner:
            yield list(_section(command, inner, title))
            if hasattr(command, "list_commands"):
                yield from _commands(command, inner, title)


def _section(command: Any, context: Any, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{_plain(command.help or '')}\n"
    rows = [row for parameter in command.get_params(context) if (row := _row(parameter, context))]
    if rows:
        yield "\n".join(["| option | default | what it does |", "|---|---|---|", *rows]) + "\n"
    if command.epilog:
        yield from _examples(command.epilog)


def _row(parameter: Any, context: Any) -> str | None:
    """A line of the table, or None for `--help`, which every command has."""
    if "--help" in parameter.opts:
        return None
    if parameter.param_type_name == "argument":
        words = parameter.name.upper()
    else:
        metavar = "" if parameter.is_flag else f" {parameter.metavar or _kind(parameter, context)}"
        words = "`, `".join(opt + metavar for opt in (*parameter.opts, *parameter.secondary_opts))
    text = _plain(parameter.help or "").replace("|", "\\|")
    if parameter.envvar:
        text += f" Also from the environment: `{parameter.envvar}`."
    return f"| `{words}` | {_default(parameter)} | {text} |"


def _kind(parameter: Any, context: Any) -> str:
    """What to write behind an option: `NUMBER`, or one of several words."""
    kind = str(parameter.display_type(context)).strip("<>")
    if "|" in kind:
        return kind.replace("|", "/")
    return " ".join(_KINDS.get(each.split()[0], each.upper()) for each in kind.split(","))


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return str(parameter.show_default)
    value = parameter.default
    if value is None or value is False or value == ():
        return ""
    if value is True:
        return f"`{parameter.opts[0]}`"
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    return f"`{getattr(value, 'value', value)}`"


def _examples(epilog: str) -> Iterator[str]:
    """Each titled block of an epilog: its title, then its lines, as code where they are indented."""
    for block in epilog.strip().split("\n\n"):
        title, _, body = block.partition("\n")
        yield f"{_plain(title)}:\n"
        if not body.startswith("  "):
            yield f"{_plain(body)}\n"
            continue
        lines = [_plain(_REMARK.sub(r"# \1", line).removeprefix("  ")) for line in body.splitlines()]
        yield "\n".join([f"```{'python' if 'Python' in title else 'sh'}", *lines, "```\n"])


def _plain(text: str) -> str:
    return _MARKUP.sub("", text).strip()


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
