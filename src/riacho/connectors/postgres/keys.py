"""Ranges of rows by a key: as SQL, with the key's values as text.

A key is a few columns, or `ctid`, the place of a row, for a table that has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riacho.connectors.postgres.client import literal, quoted


@dataclass(frozen=True)
class RowKey:
    """`columns` as SQL, and the type of each, to which its text is cast."""

    columns: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def sql(self) -> str:
        return ", ".join(self.columns)

    @property
    def texts(self) -> list[str]:
        """Its columns as text, as they are kept in offsets."""
        return [f"{column}::text" for column in self.columns]

    def compared(self, operator: str, values: Sequence[str]) -> str:
        """A condition such as `(a, b) > ('1'::int, 'x'::text)`."""
        given = ", ".join(f"{literal(value)}::{kind}" for value, kind in zip(values, self.types, strict=True))
        return f"({self.sql}) {operator} ({given})"


PLACE = RowKey(("ctid",), ("tid",))


def key_of(columns: Sequence[str], types: Sequence[str]) -> RowKey:
    """The key of these columns; `ctid` if there are none."""
    return RowKey(tuple(map(quoted, columns)), tuple(types)) if columns else PLACE
