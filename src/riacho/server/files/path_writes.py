"""Writes of a plan's rows as files: `df.write…save(path)`, INSERT OVERWRITE DIRECTORY, and into tables of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from riacho.conf import PARTITION_OVERWRITE
from riacho.errors import AnalysisError, IllegalArgumentError, UnsupportedOperationError
from riacho.options import Option
from riacho.paths import qualified
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.files.checks import check_names, missing_path, partition_columns
from riacho.server.files.jobs import Existing, FileJob
from riacho.server.files.rows import RowFiles, written_schema
from riacho.server.formats.write.files import check_schema, file_format
from riacho.storage import Place, place_of

OPTIONS: Final = (
    Option("path", None, "the folder; `save(path)` sets it"),
    Option("partitionOverwriteMode", None, "`dynamic`: an overwrite replaces only partitions with new rows"),
)


def write_path(session: EngineSession, operation: pb.WriteOperation) -> None:
    """Write the rows of a plan as files below the operation's path, in a format of `FORMATS`.

    Raises PATH_ALREADY_EXISTS and whatever the format, its options and the engine refuse.
    """
    options = {key.lower(): value for key, value in operation.options.items()}
    given = operation.path if operation.WhichOneof("save_type") == "path" else options.get("path")
    _refuse_buckets(operation)
    if given is None:
        raise missing_path()
    name = operation.source.lower()
    folder = place_of(given)
    modes = pb.WriteOperation
    exists = folder.exists()
    if exists and operation.mode == modes.SAVE_MODE_IGNORE:
        return
    form = file_format(name, dict(operation.options), session.get_conf, session.zone, OPTIONS)
    schema = written_schema(session.schema(operation.input))
    check_names(schema)
    schema, partition_by = partition_columns(schema, operation.partitioning_columns, strict=True)
    check_schema(name, pa.schema([field for field in schema if field.name not in partition_by]))
    if exists and operation.mode not in {modes.SAVE_MODE_APPEND, modes.SAVE_MODE_OVERWRITE}:
        raise AnalysisError.of(
            "PATH_ALREADY_EXISTS",
            f'Path {qualified(folder)} already exists. Set mode as "overwrite" to overwrite the existing path.',
            sql_state="42K04",
            outputPath=qualified(folder),
        )
    existing = Existing.KEPT
    if operation.mode == modes.SAVE_MODE_OVERWRITE:
        existing = Existing.REPLACED
        if partition_by and is_dynamic(session, options):
            existing = Existing.REPLACED_BY_PARTITION
    whole = _is_one_partition(operation.input)
    # There is one file anyway, and the engine would lose the order of the rows.
    relation = operation.input.repartition.input if whole else operation.input
    rows = RowFiles(form, partition_by, zone=session.zone.engine, whole=whole)
    FileJob(folder, rows, existing).run(session.stream(relation), schema)


@dataclass(frozen=True)
class FileTable:
    """A table that is files, as a write needs to know it. `options`: those of the table, and of the write."""

    folder: Place
    format: str
    schema: pa.Schema
    partition_by: Sequence[str]
    options: Mapping[str, str]


def write_table(session: EngineSession, table: FileTable, relation: pb.Relation, *, overwrite: bool) -> None:
    """Write the rows of a plan, which has the table's columns, into the table. Raises as `write_path`."""
    form = file_format(table.format, table.options, session.get_conf, session.zone, OPTIONS)
    schema = written_schema(table.schema)
    columns = [field for field in schema if field.name not in table.partition_by]
    check_schema(table.format, pa.schema(columns))
    existing = Existing.KEPT
    if overwrite:
        options = {key.lower(): value for key, value in table.options.items()}
        dynamic = bool(table.partition_by) and is_dynamic(session, options)
        existing = Existing.REPLACED_BY_PARTITION if dynamic else Existing.REPLACED
    rows = RowFiles(form, tuple(table.partition_by), zone=session.zone.engine)
    FileJob(table.folder, rows, existing).run(session.stream(relation), schema)


def no_binary() -> UnsupportedOperationError:
    """The error of a write to `binaryFile`."""
    return UnsupportedOperationError.of(
        "UNSUPPORTED_FEATURE.WRITE_FOR_BINARY_SOURCE",
        "The feature is not supported: Write for the binary file data source.",
        sql_state="0A000",
    )


def is_dynamic(session: EngineSession, options: dict[str, str]) -> bool:
    """Whether an overwrite replaces only partitions that get rows. `options`: names in lower case.

    Raises IllegalArgumentError for a mode that there is not.
    """
    chosen = options.get("partitionoverwritemode") or str(PARTITION_OVERWRITE.read(session.get_conf))
    if chosen.lower() not in {"static", "dynamic"}:
        raise IllegalArgumentError(
            f"Invalid value '{chosen}' for option 'partitionOverwriteMode', must be 'static' or 'dynamic'"
        )
    return chosen.lower() == "dynamic"


def _is_one_partition(relation: pb.Relation) -> bool:
    """Whether the plan ends in `coalesce(1)` or `repartition(1)`: then there is one file, however large."""
    return relation.WhichOneof("rel_type") == "repartition" and relation.repartition.num_partitions == 1


def _refuse_buckets(operation: pb.WriteOperation) -> None:
    if operation.HasField("bucket_by") and operation.bucket_by.num_buckets:
        raise AnalysisError("'save' does not support bucketBy right now.", condition="_LEGACY_ERROR_TEMP_1312")
    if operation.sort_column_names:
        raise AnalysisError.of(
            "SORT_BY_WITHOUT_BUCKETING", "sortBy must be used together with bucketBy.", sql_state="42601"
        )
