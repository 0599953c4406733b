"""The actions that a Delta commit is made of, as values, and their JSON. Source: "Actions" in Delta's PROTOCOL.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from riacho.storage import Place, is_object, place_of, relative

Json = dict[str, Any]

_SAFE_IN_PATHS = "/:=+@,!$&'()*;~"
"""Characters that a log's paths leave as they are; all else is percent-encoded (RFC 2396)."""


@dataclass(frozen=True, slots=True)
class AddFile:
    """A data file that a version brought in.

    `path` is as the log has it: percent-encoded, relative to the table. `size`: bytes.
    """

    path: str
    size: int
    modification_time_ms: int
    partition_values: Mapping[str, str | None] = field(default_factory=dict)
    data_change: bool = True
    stats: str | None = None
    deletion_vector: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """What tells one file of a snapshot from another: its path and the rows that are masked out of it."""
        return self.path, _vector_id(self.deletion_vector)

    @property
    def num_records(self) -> int | None:
        """Rows in the file as its statistics say, masked ones included, or None where they do not say."""
        return None if self.stats is None else json.loads(self.stats).get("numRecords")

    @classmethod
    def from_json(cls, body: Json) -> AddFile:
        return cls(
            body["path"],
            body.get("size") or 0,
            body.get("modificationTime") or 0,
            body.get("partitionValues") or {},
            body.get("dataChange", True),
            body.get("stats"),
            body.get("deletionVector"),
        )

    def to_json(self) -> Json:
        body: Json = {
            "path": self.path,
            "partitionValues": dict(self.partition_values),
            "size": self.size,
            "modificationTime": self.modification_time_ms,
            "dataChange": self.data_change,
        }
        if self.stats is not None:
            body["stats"] = self.stats
        if self.deletion_vector is not None:
            body["deletionVector"] = dict(self.deletion_vector)
        return {"add": body}

    def removed(self, at_ms: int, *, data_change: bool = True) -> Json:
        """The action that takes this file out of the table again; the file itself stays until a VACUUM."""
        body: Json = {
            "path": self.path,
            "deletionTimestamp": at_ms,
            "dataChange": data_change,
            "extendedFileMetadata": True,
            "partitionValues": dict(self.partition_values),
            "size": self.size,
        }
        if self.deletion_vector is not None:
            body["deletionVector"] = dict(self.deletion_vector)
        return {"remove": body}


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """A data file that a version took out. `size`: bytes, 0 if the log does not say."""

    path: str
    size: int = 0
    data_change: bool = True
    partition_values: Mapping[str, str | None] | None = None
    deletion_vector: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        return self.path, _vector_id(self.deletion_vector)

    @classmethod
    def from_json(cls, body: Json) -> RemoveFile:
        return cls(
            body["path"],
            body.get("size") or 0,
            body.get("dataChange", True),
            body.get("partitionValues"),
            body.get("deletionVector"),
        )


@dataclass(frozen=True, slots=True)
class ChangeFile:
    """A file of change rows (`_change_data/…`), written by an UPDATE, DELETE or MERGE on a change-feed table.

    `size`: bytes.
    """

    path: str
    size: int
    partition_values: Mapping[str, str | None]

    @classmethod
    def from_json(cls, body: Json) -> ChangeFile:
        return cls(body["path"], body.get("size") or 0, body.get("partitionValues") or {})

    def to_json(self) -> Json:
        values = dict(self.partition_values)
        return {"cdc": {"path": self.path, "partitionValues": values, "size": self.size, "dataChange": False}}


@dataclass(frozen=True, slots=True)
class Metadata:
    """The table itself: id, schema (Spark's JSON text), partition columns, properties."""

    id: str
    schema_json: str
    partition_columns: tuple[str, ...] = ()
    configuration: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    description: str | None = None
    created_ms: int | None = None

    @classmethod
    def from_json(cls, body: Json) -> Metadata:
        return cls(
            body["id"],
            body["schemaString"],
            tuple(body.get("partitionColumns") or ()),
            body.get("configuration") or {},
            body.get("name"),
            body.get("description"),
            body.get("createdTime"),
        )

    def to_json(self) -> Json:
        optional = {"name": self.name, "description": self.description, "createdTime": self.created_ms}
        body: Json = {
            "id": self.id,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": self.schema_json,
            "partitionColumns": list(self.partition_columns),
            "configuration": dict(self.configuration),
        }
        return {"metaData": body | {key: value for key, value in optional.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a reader and a writer must understand. Feature sets are given from versions 3 (reader) and 7 (writer) on."""

    min_reader: int = 1
    min_writer: int = 2
    reader_features: frozenset[str] = frozenset()
    writer_features: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, body: Json) -> Protocol:
        return cls(
            body["minReaderVersion"],
            body["minWriterVersion"],
            frozenset(body.get("readerFeatures") or ()),
            frozenset(body.get("writerFeatures") or ()),
        )

    def to_json(self) -> Json:
        body: Json = {"minReaderVersion": self.min_reader, "minWriterVersion": self.min_writer}
        if self.min_reader >= 3:
            body["readerFeatures"] = sorted(self.reader_features)
        if self.min_writer >= 7:
            body["writerFeatures"] = sorted(self.writer_features)
        return {"protocol": body}


FileAction = AddFile | RemoveFile | ChangeFile


@dataclass(frozen=True)
class Commit:
    """One version of a table. `files` are in the order of the log. `timestamp_ms`: its in-commit time, else when its
    file was written.
    """

    version: int
    timestamp_ms: int
    files: tuple[FileAction, ...] = ()
    metadata: Metadata | None = None
    protocol: Protocol | None = None
    transactions: Mapping[str, int] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def adds(self) -> tuple[AddFile, ...]:
        return tuple(action for action in self.files if isinstance(action, AddFile))

    @cached_property
    def removes(self) -> tuple[RemoveFile, ...]:
        return tuple(action for action in self.files if isinstance(action, RemoveFile))

    @cached_property
    def changes(self) -> tuple[ChangeFile, ...]:
        return tuple(action for action in self.files if isinstance(action, ChangeFile))


def parse_commit(version: int, content: bytes, modified_ms: int) -> Commit:
    """The commit that the bytes of a log file say."""
    files: list[FileAction] = []
    metadata: Metadata | None = None
    protocol: Protocol | None = None
    transactions: dict[str, int] = {}
    info: Json = {}
    for line in content.splitlines():
        if not line.strip():
            continue
        for kind, body in json.loads(line).items():
            match kind:
                case "add":
                    files.append(AddFile.from_json(body))
                case "remove":
                    files.append(RemoveFile.from_json(body))
                case "cdc":
                    files.append(ChangeFile.from_json(body))
                case "metaData":
                    metadata = Metadata.from_json(body)
                case "protocol":
                    protocol = Protocol.from_json(body)
                case "txn":
                    transactions[body["appId"]] = body["version"]
                case "commitInfo":
                    info = body
    timestamp_ms = info.get("inCommitTimestamp") or modified_ms
    return Commit(version, timestamp_ms, tuple(files), metadata, protocol, transactions, info)


def transaction(app_id: str, version: int, at_ms: int) -> Json:
    """The action by which a writer notes how far it got: a repeated batch is recognised by it."""
    return {"txn": {"appId": app_id, "version": version, "lastUpdated": at_ms}}


def render(actions: Iterable[Json]) -> bytes:
    """The bytes of a commit file."""
    return b"".join(
        json.dumps(action, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for action in actions
    )


def data_place(table: Place, logged: str) -> Place:
    """The file that a path in the log of `table` means: relative, absolute or a URI, percent-encoded."""
    if logged.startswith("file:"):
        return Path(unquote("/" + logged.removeprefix("file:").lstrip("/")))
    if is_object(logged):
        return place_of(unquote(logged), None if isinstance(table, Path) else table.settings)
    return table / unquote(logged)


def decoded(logged: str) -> str:
    """A log's path without any encoding, however often it was encoded: what is left still tells files apart."""
    while (plain := unquote(logged)) != logged:
        logged = plain
    return logged


def logged_path(table: Place, file: Place) -> str:
    """How the log of `table` names a file below it."""
    return quote(relative(file, table), safe=_SAFE_IN_PATHS)


def _vector_id(vector: Mapping[str, Any] | None) -> str | None:
    if vector is None:
        return None
    offset = vector.get("offset")
    return f"{vector['storageType']}{vector['pathOrInlineDv']}" + ("" if offset is None else f"@{offset}")
