"""The versions of an inferred schema, kept where `cloudFiles.schemaLocation` says.

    <location>/_schemas/<n>    v1, then one JSON: {"dataSchemaJson":"…","partitionSchemaJson":"…"} (Spark's schema JSON)

A version is never changed; the highest one counts. Several queries may share a location.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import IllegalStateError
from riacho.server.streaming.checkpoint import VERSION, write_new
from riacho.storage import Place
from riacho.types import from_json, to_json


@dataclass(frozen=True)
class StoredSchema:
    """One version. `partitions`: the columns whose values stand in the path."""

    version: int
    data: pa.Schema
    partitions: pa.Schema

    @property
    def all(self) -> pa.Schema:
        """The columns in the order a query sees them."""
        return pa.schema([*self.data, *self.partitions])


class SchemaStore:
    """The versions at one location."""

    def __init__(self, location: Place) -> None:
        self._folder = location / "_schemas"

    def latest(self) -> StoredSchema | None:
        """The newest version. Raises IllegalStateError if it cannot be understood."""
        try:
            version = max((int(path.name) for path in self._folder.iterdir() if path.name.isdigit()), default=None)
        except FileNotFoundError:
            return None
        return None if version is None else self._read(version)

    def add(self, version: int, data: pa.Schema, partitions: pa.Schema) -> StoredSchema:
        """Write a version; if another query was first, its version counts.

        Raises IllegalStateError if that cannot be understood.
        """
        stored = {"dataSchemaJson": to_json(data), "partitionSchemaJson": to_json(partitions)}
        try:
            text = json.dumps(stored, separators=(",", ":"), ensure_ascii=False)
            write_new(self._folder / str(version), f"{VERSION}\n{text}")
        except FileExistsError:
            return self._read(version)
        return StoredSchema(version, data, partitions)

    def _read(self, version: int) -> StoredSchema:
        path = self._folder / str(version)
        try:
            header, text = path.read_text(encoding="utf-8").split("\n", 1)
            stored = json.loads(text)
            schemas = from_json(stored["dataSchemaJson"]), from_json(stored["partitionSchemaJson"])
        except (ValueError, KeyError) as error:
            raise IllegalStateError(f"The schema file {path} is damaged: {error}") from None
        if header != VERSION:
            raise IllegalStateError(f"The schema file {path} is of version {header!r}; riacho reads {VERSION}.")
        return StoredSchema(version, *schemas)
