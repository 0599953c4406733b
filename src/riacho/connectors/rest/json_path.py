"""Places in a JSON document: `$.data.items`, `data[0].id`, `$['odd name'][*].price`, and `$` for all of it."""

from __future__ import annotations

from typing import Any

from riacho.errors import IllegalArgumentError

Step = str | int | None
"""The name of a field, the number of an element, or all elements."""
Path = tuple[Step, ...]


def parse(text: str) -> Path:
    """The steps of a path; none for the document itself. Raises IllegalArgumentError."""
    rest = text.strip().removeprefix("$")
    steps: list[Step] = []
    while rest:
        if rest.startswith("["):
            inside, closed, rest = rest[1:].partition("]")
            if not closed:
                raise _not_a_path(text)
            steps.append(_bracketed(inside.strip(), text))
        else:
            rest = rest.removeprefix(".")
            end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            name, rest = rest[:end].strip(), rest[end:]
            if not name:
                raise _not_a_path(text)
            steps.append(None if name == "*" else name)
    return tuple(steps)


def _bracketed(inside: str, text: str) -> Step:
    if inside == "*":
        return None
    if len(inside) > 1 and inside[0] == inside[-1] and inside[0] in "'\"":
        return inside[1:-1]
    if inside.removeprefix("-").isdigit():
        return int(inside)
    raise _not_a_path(text)


def _not_a_path(text: str) -> IllegalArgumentError:
    return IllegalArgumentError(
        f"{text!r} is no JSON path: write it like data.items, data[0].id, $['a name'] or items[*].id"
    )


def found(document: Any, path: Path) -> list[Any]:
    """What is at a path: nothing, one thing, or with `[*]` any number."""
    here = [document]
    for step in path:
        here = [value for node in here for value in _inside(node, step)]
    return here


def _inside(node: Any, step: Step) -> list[Any]:
    if step is None:
        return list(node.values()) if isinstance(node, dict) else list(node) if isinstance(node, list) else []
    if isinstance(step, str):
        return [node[step]] if isinstance(node, dict) and step in node else []
    return [node[step]] if isinstance(node, list) and -len(node) <= step < len(node) else []


def first(document: Any, path: Path) -> Any:
    """What is at a path, None if nothing is."""
    return next(iter(found(document, path)), None)


def shown(path: Path) -> str:
    """A path as people write it."""
    parts = ("[*]" if step is None else f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(parts).removeprefix(".") or "$"
