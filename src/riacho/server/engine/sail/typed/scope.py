"""The columns that an expression may name, and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa


class Scope:
    """Columns by name, ignoring case."""

    def __init__(self, schema: pa.Schema | None) -> None:
        self._kinds: dict[str, pa.DataType | None] = {}
        self._nullable: dict[str, bool] = {}
        for field in schema or ():
            self._nullable[field.name.lower()] = field.nullable or self._nullable.get(field.name.lower(), False)
            name = field.name.lower()
            known = self._kinds.get(name, field.type)
            self._kinds[name] = field.type if known == field.type else None

    def kind(self, parts: Sequence[str]) -> pa.DataType | None:
        """The type of `column`, `table.column`, or a field of either; None if it is not known."""
        for at, part in enumerate(parts):
            found = self._kinds.get(part.lower())
            if found is not None:
                return _field(found, parts[at + 1 :])
            if part.lower() in self._kinds:
                return None
        return None

    def nullable(self, parts: Sequence[str]) -> bool | None:
        """Whether a column may be null, by its name alone; None if that is not known."""
        return self._nullable.get(parts[0].lower()) if len(parts) == 1 else None

    def has(self, name: str) -> bool:
        """Whether there is a column of that name."""
        return name.lower() in self._kinds

    def with_aliases(self, aliases: Mapping[str, pa.DataType | None]) -> Scope:
        """The same, with a query's own names for its columns taking precedence."""
        scope = Scope(None)
        scope._kinds = {**self._kinds, **{name.lower(): kind for name, kind in aliases.items()}}
        return scope


def _field(kind: pa.DataType, parts: Sequence[str]) -> pa.DataType | None:
    for part in parts:
        found = field_of(kind, part)
        if found is None:
            return None
        kind = found
    return kind


def field_of(kind: pa.DataType, name: str) -> pa.DataType | None:
    """The type of a struct's field or of a map's values; for a list of structs, a list of that type."""
    if pa.types.is_struct(kind):
        return next((field.type for field in kind if field.name.lower() == name.lower()), None)
    if pa.types.is_map(kind):
        return kind.item_type
    if pa.types.is_list(kind):
        element = field_of(kind.value_type, name)
        return None if element is None else pa.list_(pa.field("element", element))
    return None
