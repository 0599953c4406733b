"""What the folders of a warehouse cannot say, kept as small JSON files that anybody can read.

    <warehouse>/_riacho/databases/<db>.json       comment of a database
    <warehouse>/_riacho/tables/<db>/<table>.json  a table that is not Delta, or lies elsewhere
    <warehouse>/_riacho/views/<db>/<view>.json    SQL text of a persisted view

A file appears whole or not at all. Managed Delta tables need no record: their folder is the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from riacho.server.catalog.base import CATALOG_NAME, TableName
from riacho.server.delta import schema as schemas
from riacho.storage import Place, matching, replace

FOLDER = "_riacho"


@dataclass(frozen=True)
class TableRecord:
    """A table that its folder alone does not describe. `schema` is None for Delta, whose log knows it."""

    location: str
    format: str
    external: bool
    schema: str | None = None
    partition_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    """Of the reader, for instance `header` of CSV."""

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([]) if self.schema is None else schemas.to_arrow(self.schema)


@dataclass(frozen=True)
class ViewRecord:
    """A persisted view. `number` grows from one view made to the next, so that they can be made again in order."""

    text: str
    number: int
    comment: str | None = None


class Records:
    """The record files of one warehouse. Holds nothing; every call looks at the disk."""

    def __init__(self, warehouse: Place) -> None:
        self.root = warehouse / FOLDER

    def databases(self) -> list[str]:
        """Those that have a record: all that riacho made. Object storage has no other trace of an empty one."""
        return [file.stem for file in matching(self.root / "databases", "*.json")]

    def folders(self) -> list[Place]:
        """All folders that hold records: when none of them was touched, no record came or went."""
        parents = [self.root / "databases", self.root / "tables", self.root / "views"]
        return [*parents, *(child for parent in parents[1:] if parent.is_dir() for child in parent.iterdir())]

    def database_comment(self, database: str) -> str | None:
        found = _read(self.root / "databases" / f"{database}.json")
        return None if found is None else found.get("comment")

    def put_database(self, database: str, comment: str | None) -> None:
        _write(self.root / "databases" / f"{database}.json", {"comment": comment})

    def drop_database(self, database: str) -> None:
        (self.root / "databases" / f"{database}.json").unlink(missing_ok=True)

    def tables(self) -> dict[TableName, TableRecord]:
        return {name: _table(body) for name, body in self._all("tables")}

    def has(self, name: TableName) -> bool:
        """Whether there is a record of a table or view of that name."""
        return self._file("tables", name).is_file() or self._file("views", name).is_file()

    def put_table(self, name: TableName, record: TableRecord) -> None:
        body = {key: value for key, value in record.__dict__.items() if value not in (None, (), {})}
        _write(self._file("tables", name), body)

    def drop_table(self, name: TableName) -> None:
        self._file("tables", name).unlink(missing_ok=True)

    def views(self) -> dict[TableName, ViewRecord]:
        return {
            name: ViewRecord(body["text"], body["number"], body.get("comment")) for name, body in self._all("views")
        }

    def put_view(self, name: TableName, record: ViewRecord) -> None:
        _write(self._file("views", name), {"text": record.text, "number": record.number, "comment": record.comment})

    def drop_view(self, name: TableName) -> None:
        self._file("views", name).unlink(missing_ok=True)

    def _file(self, kind: str, name: TableName) -> Place:
        return self.root / kind / name.database / f"{name.table}.json"

    def _all(self, kind: str) -> Iterator[tuple[TableName, dict[str, Any]]]:
        for file in matching(self.root / kind, "*/*.json"):
            body = _read(file)
            if body is not None:
                yield TableName(CATALOG_NAME, file.parent.name, file.stem), body


def _table(body: dict[str, Any]) -> TableRecord:
    return TableRecord(**{**body, "partition_by": tuple(body.get("partition_by", ()))})


def _read(file: Place) -> dict[str, Any] | None:
    """The record, or None if it is not there (any more)."""
    try:
        body: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    return body


def _write(file: Place, body: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode())
