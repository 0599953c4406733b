"""`cloudFiles.schemaHints`: types for some columns, and for fields inside them, over what was inferred.

    date DATE, user_info.dob DATE, tags MAP<STRING, INT>, locations.element STRING, prices.value INT

A field of a struct is named behind a point; `element` stands for what is in a list, `key` and `value` for what is in a
map. As Auto Loader has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import IllegalArgumentError
from riacho.server.sql.tokens import Token, identifier, tokenize


@dataclass(frozen=True)
class Hint:
    """The type of a column, or of what stands at a path inside it."""

    path: tuple[str, ...]
    type: pa.DataType

    @property
    def column(self) -> str:
        return self.path[0]


def parse_hints(text: str, parse_ddl: Callable[[str], pa.Schema]) -> tuple[Hint, ...]:
    """The hints in an option's text. Raises IllegalArgumentError, and ParseError for types."""
    paths: list[tuple[str, ...]] = []
    columns: list[str] = []
    for part in _split(tokenize(text)):
        path, at = identifier(part, 0)
        at += at < len(part) and part[at].is_symbol(":")
        if not path or at >= len(part):
            raise IllegalArgumentError(
                f"The option cloudFiles.schemaHints = {text!r} must be a list of names and types, such as 'id INT, "
                "user.born DATE'."
            )
        columns.append(f"c{len(paths)} {text[part[at].start : part[-1].end]}")
        paths.append(path)
    types = parse_ddl(", ".join(columns)).types if columns else []
    return tuple(map(Hint, paths, types))


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The items between commas that stand in no brackets."""
    depth = 0
    part: list[Token] = []
    for token in tokens:
        if token.kind == "symbol":
            depth += sum(token.text.count(mark) for mark in "(<") - sum(token.text.count(mark) for mark in ")>")
        if depth == 0 and token.is_symbol(","):
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def with_hints(schema: pa.Schema, hints: Sequence[Hint]) -> pa.Schema:
    """`schema` with the types (and names) that hints give; columns and fields that it lacks come last.

    Raises IllegalArgumentError for a path into a column that has no inside.
    """
    for hint in hints:
        schema = pa.schema(_placed(list(schema), hint.path, hint))
    return schema


def _placed(fields: list[pa.Field], path: tuple[str, ...], hint: Hint) -> list[pa.Field]:
    """The fields of a struct with the hint at `path` among them."""
    name, rest = path[0], path[1:]
    index = next((i for i, field in enumerate(fields) if field.name.lower() == name.lower()), None)
    if index is None:
        return [*fields, pa.field(name, _hinted(None, rest, hint))]
    known = fields[index]
    fields[index] = known.with_type(_hinted(known.type, rest, hint)).with_name(known.name if rest else name)
    return fields


def _hinted(arrow: pa.DataType | None, path: tuple[str, ...], hint: Hint) -> pa.DataType:
    """A type with the hint at `path` inside it; None: nothing is known of it yet."""
    if not path:
        return hint.type
    if arrow is None:
        return pa.list_(_hinted(None, path[1:], hint)) if path[0] == "element" else pa.struct(_placed([], path, hint))
    if pa.types.is_struct(arrow):
        return pa.struct(_placed(list(arrow), path, hint))
    if pa.types.is_list(arrow) and path[0].lower() == "element":
        return pa.list_(arrow.value_field.with_type(_hinted(arrow.value_type, path[1:], hint)))
    if pa.types.is_map(arrow) and path[0].lower() in {"key", "value"}:
        key, item = arrow.key_type, arrow.item_type
        if path[0].lower() == "key":
            key = _hinted(key, path[1:], hint)
        else:
            item = _hinted(item, path[1:], hint)
        return pa.map_(key, arrow.item_field.with_type(item))
    raise IllegalArgumentError(
        f"cloudFiles.schemaHints has {'.'.join(hint.path)}, but there is no {path[0]!r} in {arrow}. Use element for "
        "the elements of a list, key and value for those of a map, or give the whole column a type."
    )
