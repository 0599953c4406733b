"""Read a checkpoint: the sum of all versions up to one, as Parquet files or, in version 2, JSON with Parquet beside it.

Files are read column by column: a table that was written all day has tens of thousands of them. Source: "Checkpoints"
in Delta's PROTOCOL.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from riacho.server.delta.actions import AddFile, Metadata, Protocol
from riacho.server.delta.log import LogCheckpoint
from riacho.storage import Place, open_input

_SIDECARS = "_sidecars"
_COLUMNS = ("protocol", "metaData", "txn.appId", "txn.version", "sidecar.path")
_FILE_FIELDS = ("path", "size", "modificationTime", "partitionValues", "dataChange", "stats", "deletionVector")


@dataclass
class Summary:
    """What a checkpoint says. `files` is empty unless it was asked for."""

    protocol: Protocol = field(default_factory=Protocol)
    metadata: Metadata | None = None
    transactions: dict[str, int] = field(default_factory=dict)
    files: list[AddFile] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)

    def take(self, kind: str, body: dict[str, Any]) -> None:
        """Take in one action other than a file of a Parquet checkpoint."""
        match kind:
            case "protocol":
                self.protocol = Protocol.from_json(body)
            case "metaData":
                self.metadata = Metadata.from_json({key: value for key, value in body.items() if value is not None})
            case "txn":
                self.transactions[body["appId"]] = body["version"]
            case "add":
                self.files.append(AddFile.from_json(body))
            case "sidecar":
                self.sidecars.append(body["path"])


def read_checkpoint(checkpoint: LogCheckpoint, *, with_files: bool) -> Summary:
    """The sum that the files of a checkpoint make. Raises OSError, pyarrow.ArrowInvalid."""
    summary = Summary()
    _read(checkpoint.files, with_files, summary)
    if with_files and summary.sidecars:
        folder = checkpoint.files[0].parent / _SIDECARS
        _read([folder / PurePosixPath(name).name for name in summary.sidecars], with_files, summary)
    return summary


def _read(files: Sequence[Place], with_files: bool, summary: Summary) -> None:
    for file in files:
        if file.suffix == ".json":
            for line in file.read_bytes().splitlines():
                for kind, body in json.loads(line).items():
                    if kind != "add" or with_files:
                        summary.take(kind, body)
            continue
        wanted = [*_COLUMNS, *(f"add.{name}" for name in _FILE_FIELDS if with_files)]
        content = pq.ParquetFile(open_input(file)).read(columns=wanted)
        for kind in ("protocol", "metaData", "txn", "sidecar"):
            if kind in content.column_names:
                for body in content[kind].drop_null().to_pylist(maps_as_pydicts="strict"):
                    if any(value is not None for value in body.values()):
                        summary.take(kind, body)
        if with_files and "add" in content.column_names:
            summary.files.extend(_adds(content["add"].combine_chunks()))


def _adds(actions: pa.StructArray) -> list[AddFile]:
    """The add actions of a column, most of whose rows may be other kinds of action."""
    present = actions.filter(pc.is_valid(pc.struct_field(actions, "path")))
    columns = {f.name: present.field(index) for index, f in enumerate(present.type)}
    paths = columns["path"].to_pylist()
    stats = columns["stats"].to_pylist() if "stats" in columns else [None] * len(paths)
    return [
        AddFile(*row)
        for row in zip(
            paths,
            columns["size"].to_pylist(),
            columns["modificationTime"].to_pylist(),
            _partition_values(columns["partitionValues"]),
            columns["dataChange"].to_pylist(),
            stats,
            _vectors(columns.get("deletionVector"), len(paths)),
            strict=True,
        )
    ]


def _partition_values(column: pa.MapArray) -> list[dict[str, str | None]]:
    if len(column.keys) == 0:
        return [{}] * len(column)
    return [values or {} for values in column.to_pylist(maps_as_pydicts="strict")]


def _vectors(column: pa.StructArray | None, count: int) -> list[dict[str, Any] | None]:
    if column is None or column.null_count == count:
        return [None] * count
    return [
        None if vector is None else {key: value for key, value in vector.items() if value is not None}
        for vector in column.to_pylist()
    ]
