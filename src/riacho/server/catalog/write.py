"""DataFrame writes: `df.write…`, `df.writeTo…` and INSERT, into Delta tables and into tables of the catalog.

A request is first made a `TableWrite`: where the rows go, what becomes of those that are there, and how the table is
made if it is not. Then it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from riacho import types
from riacho.clock import Clock, SystemClock
from riacho.conf import AUTO_MERGE, PARTITION_OVERWRITE, SOURCES_DEFAULT, TXN_APP_ID, TXN_VERSION
from riacho.errors import AnalysisError, IllegalArgumentError, InvalidPlanInputError
from riacho.options import Option
from riacho.paths import PATH_FORMATS, qualified
from riacho.protos import pb
from riacho.server.catalog import failures
from riacho.server.catalog.assignment import naming_overflow, policy, to_delta, to_files
from riacho.server.catalog.base import Table, TableName
from riacho.server.catalog.conditions import column_name, condition_text
from riacho.server.catalog.names import full
from riacho.server.catalog.row_changes import Runner, expression, replace_where
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.options import PLACE, DeltaOptions, option
from riacho.server.delta.write import AppTransaction, DeltaOperation, RowWriter, WriteMode
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.files.path_writes import FileTable, write_table
from riacho.server.formats.write.files import FORMATS
from riacho.server.sql.cursor import dotted_name
from riacho.storage import Place, delta_place, place_of

OPTIONS = (
    Option("mergeSchema", "false", "add columns and struct fields that the table lacks"),
    Option(
        "overwriteSchema", "false", '`mode("overwrite")`: the table takes on the columns and partitions of the data'
    ),
    Option("replaceWhere", None, '`mode("overwrite")`: replace only the rows that match this condition'),
    Option("partitionOverwriteMode", "static", "`dynamic`: replace only partitions with new rows"),
    Option(
        "txnAppId",
        None,
        "with `txnVersion`: identifies the writer; a write whose number is not above the last is skipped",
    ),
    Option("txnVersion", None, "with `txnAppId`: the number of this write, such as a batch's"),
    Option("delta.*", None, "properties of a table that the write creates"),
)
"""What the documentation lists."""
_SAVE_MODES = {
    pb.WriteOperation.SAVE_MODE_UNSPECIFIED: "errorifexists",
    pb.WriteOperation.SAVE_MODE_APPEND: "append",
    pb.WriteOperation.SAVE_MODE_OVERWRITE: "overwrite",
    pb.WriteOperation.SAVE_MODE_ERROR_IF_EXISTS: "errorifexists",
    pb.WriteOperation.SAVE_MODE_IGNORE: "ignore",
}


@dataclass(frozen=True)
class TableWrite:
    """One write. Exactly one of `path` (a Delta table) and `table` says where.

    `mode`: append, overwrite, errorifexists or ignore. `by_position`: columns go in by their place and not by name.
    `create`: whether a table that is missing is made. `redefine`: overwriting gives the table the columns, partitions
    and properties of the data. `dynamic`: overwriting only replaces the partitions that have new rows. `where`:
    overwriting only replaces the rows for which this SQL condition holds. `assigns`: values are cast to the types of
    the table's columns, as an INSERT casts them (see `assignment`).
    """

    relation: pb.Relation
    mode: str
    path: Place | None = None
    table: TableName | None = None
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    partition_by: tuple[str, ...] | None = None
    by_position: bool = False
    create: bool = True
    redefine: bool = False
    dynamic: bool = False
    where: str | None = None
    assigns: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None


class TableWrites:
    """Does writes for sessions of one engine, into the tables of one catalog."""

    def __init__(self, catalog: WarehouseCatalog, clock: Clock | None = None) -> None:
        self._catalog = catalog
        self._clock = clock or SystemClock()

    def write(self, session: EngineSession, operation: pb.WriteOperation, current_database: str) -> bool:
        """`df.write…save / saveAsTable / insertInto`. False, and nothing done, if it is the engine's: files at a path.

        Its path is then one that the engine understands. Raises SparkError.
        """
        if not operation.source and operation.WhichOneof("save_type") != "table":
            operation.source = SOURCES_DEFAULT.read(session.get_conf)
        request = self._read_v1(operation, current_database)
        if request is None:
            return _files_exist_already(operation)
        self.run(session, request)
        return True

    def write_v2(self, session: EngineSession, operation: pb.WriteOperationV2, current_database: str) -> None:
        """`df.writeTo…`. Raises SparkError."""
        self.run(session, self._read_v2(operation, current_database))

    def run(self, session: EngineSession, request: TableWrite) -> None:
        """Do one write. Raises SparkError; then the table is as it was."""
        if request.table is None:
            assert request.path is not None, "a write goes somewhere"
            self._write_path(session, request, request.path)
            return
        table = self._catalog.table(request.table)
        if table is None:
            if self._catalog.view(request.table) is not None:
                raise failures.expect_table("INSERT", request.table)
            if not request.create:
                raise failures.table_not_found(request.table)
            self._write_new(session, request, request.table)
            return
        if request.mode == "errorifexists":
            raise failures.already_exists(table.name)
        if request.mode == "ignore":
            return
        if request.format is not None and request.format.lower() != table.format:
            raise _other_format(table, request.format)
        schema = session.schema(request.relation)
        if request.by_position and len(table.schema):
            request, schema = _by_position(request, schema, table)
        if table.format != "delta":
            self._write_files(session, request, schema, table)
            return
        self._assign_and_write(session, request, schema, table)

    def _read_v1(self, operation: pb.WriteOperation, current_database: str) -> TableWrite | None:
        source = operation.source if operation.HasField("source") else None
        request = TableWrite(
            operation.input,
            _SAVE_MODES[operation.mode],
            format=source,
            options=dict(operation.options),
            partition_by=tuple(operation.partitioning_columns) or None,
        )
        kind = operation.WhichOneof("save_type")
        if kind == "table":
            insert = operation.table.save_method == pb.WriteOperation.SaveTable.TABLE_SAVE_METHOD_INSERT_INTO
            if insert:
                request = replace(request, by_position=True, create=False, format=None, assigns=True)
                if operation.mode != pb.WriteOperation.SAVE_MODE_OVERWRITE:
                    request = replace(request, mode="append")
            if request.mode == "append":
                request = replace(request, assigns=True)
            return self._aimed(request, operation.table.table_name, current_database)
        if (source or "").lower() != "delta":
            return None
        path = operation.path if kind == "path" else option(request.options, "path")
        if path is None:
            raise InvalidPlanInputError("A write to a Delta table needs a path, save(path), or a table's name.")
        return replace(request, path=place_of(path))

    def _read_v2(self, operation: pb.WriteOperationV2, current_database: str) -> TableWrite:
        modes = pb.WriteOperationV2
        request = TableWrite(
            operation.input,
            "overwrite",
            format=operation.provider if operation.HasField("provider") else None,
            options=dict(operation.options),
            partition_by=tuple(column_name(e) for e in operation.partitioning_columns) or None,
            properties=dict(operation.table_properties),
        )
        match operation.mode:
            case modes.MODE_CREATE:
                request = replace(request, mode="errorifexists")
            case modes.MODE_APPEND:
                request = replace(request, mode="append", create=False, assigns=True)
            case modes.MODE_REPLACE:
                request = replace(request, redefine=True, create=False)
            case modes.MODE_CREATE_OR_REPLACE:
                request = replace(request, redefine=True)
            case modes.MODE_OVERWRITE_PARTITIONS:
                request = replace(request, dynamic=True, create=False, assigns=True)
            case modes.MODE_OVERWRITE:
                where = condition_text(operation.overwrite_condition)
                request = replace(request, create=False, where=where, assigns=True)
            case _:
                raise InvalidPlanInputError(f"WriteOperationV2.mode is {operation.mode}, which is none")
        return self._aimed(request, operation.table_name, current_database)

    def _aimed(self, request: TableWrite, name: str, current_database: str) -> TableWrite:
        """With the table that `name` means, which may be ``delta.`/path` ``."""
        parts = dotted_name(name)
        if (path := delta_place(parts)) is not None:
            return replace(request, path=path)
        return replace(request, table=self._catalog.qualify(parts, current_database))

    def _write_path(self, session: EngineSession, request: TableWrite, path: Place) -> None:
        exists = DeltaLog(path).exists()
        if exists and request.mode == "errorifexists":
            raise AnalysisError.of(
                "DELTA_PATH_EXISTS",
                f"Cannot write to already existent path {path} without setting OVERWRITE = 'true'.",
                sql_state="42K04",
                path=str(path),
            )
        if exists and request.mode == "ignore":
            return
        if not exists and not request.create:
            raise failures.delta_table_not_found(str(path)) if path.exists() else failures.path_not_found(str(path))
        schema = session.schema(request.relation)
        request = replace(request, properties=_table_properties(request))
        if request.by_position:
            table = self._catalog.table_at(path)
            request, schema = _by_position(request, schema, table)
            self._assign_and_write(session, request, schema, table)
            return
        self._write_delta(session, request, schema, path)

    def _write_new(self, session: EngineSession, request: TableWrite, name: TableName) -> None:
        """CREATE TABLE AS SELECT: for Delta the table is there from its first version on, which has the rows."""
        schema = session.schema(request.relation)
        kind = (request.format or SOURCES_DEFAULT.read(session.get_conf)).lower()
        place = option(request.options, "path") or option(request.options, "location")
        location = None if place is None else place_of(place)
        if kind != "delta":
            made = self._catalog.create_table(
                name,
                types.nullable(schema),
                format=kind,
                partition_by=request.partition_by or (),
                comment=request.comment,
                properties=request.properties,
                location=location,
            )
            self._write_files(session, request, schema, made)
            return
        folder = location or self._catalog.location_for(name)
        if folder.is_dir() and any(folder.iterdir()) and not DeltaLog(folder).exists():
            raise failures.location_not_empty(name, folder)
        operation = DeltaOperation("CREATE TABLE AS SELECT", _history(request))
        properties = {**_table_properties(request), **request.properties}
        self._write_delta(session, replace(request, properties=properties), schema, folder, operation)
        self._catalog.changed()
        if location is not None:
            self._catalog.register_table(name, location)

    def _write_delta(
        self,
        session: EngineSession,
        request: TableWrite,
        schema: pa.Schema,
        folder: Place,
        operation: DeltaOperation | None = None,
    ) -> None:
        options = DeltaOptions.check("Delta writer", (*OPTIONS, *PLACE), request.options)
        numbered = _numbered(session, options)
        where = request.where or options.maybe("replaceWhere")
        overwrite = request.mode == "overwrite"
        if overwrite and where is not None:
            runner = Runner(session, self._clock)
            replace_where(runner, folder, request.relation, schema, expression(where, ()), where)
            return
        mode = WriteMode(
            overwrite=overwrite,
            dynamic=overwrite and (request.dynamic or self._dynamic(session, options)),
            merge_schema=options.flag("mergeSchema", AUTO_MERGE.read(session.get_conf)),
            overwrite_schema=overwrite and (request.redefine or options.flag("overwriteSchema")),
            partition_by=request.partition_by,
            comment=request.comment,
            properties=request.properties,
        )
        writer = RowWriter(DeltaWriter(folder, with_files=overwrite), session, mode, self._clock)
        writer.write([request.relation], schema, operation or DeltaOperation("WRITE", _history(request)), numbered)

    def _assign_and_write(self, session: EngineSession, request: TableWrite, schema: pa.Schema, table: Table) -> None:
        """Rows of a Delta table that is there."""
        if not request.assigns:
            self._write_delta(session, request, schema, table.location)
            return
        assigned = to_delta(request.relation, schema, table.schema, lambda: policy(session.get_conf))
        with naming_overflow(assigned):
            self._write_delta(session, replace(request, relation=assigned.relation), assigned.schema, table.location)

    def _write_files(self, session: EngineSession, request: TableWrite, schema: pa.Schema, table: Table) -> None:
        """Rows of a table that is files, with the table's columns and types."""
        assigned = to_files(request.relation, schema, table, lambda: policy(session.get_conf))
        overwrite = request.mode == "overwrite"
        if table.format in FORMATS:
            entry = self._catalog.listing().tables.get(table.name)
            kept = {} if entry is None or entry.record is None else entry.record.options
            options = {**kept, **request.options}
            files = FileTable(table.location, table.format, table.schema, table.partition_by, options)
            with naming_overflow(assigned):
                write_table(session, files, assigned.relation, overwrite=overwrite)
            return
        command = pb.Command()
        write = command.write_operation
        write.input.CopyFrom(assigned.relation)
        write.source, write.path = table.format, str(table.location)
        write.mode = pb.WriteOperation.SAVE_MODE_OVERWRITE if overwrite else pb.WriteOperation.SAVE_MODE_APPEND
        write.partitioning_columns.extend(table.partition_by)
        write.options.update(request.options)
        with naming_overflow(assigned):
            session.execute(command)

    @staticmethod
    def _dynamic(session: EngineSession, options: DeltaOptions) -> bool:
        chosen = options.given.get("partitionOverwriteMode") or str(PARTITION_OVERWRITE.read(session.get_conf))
        if chosen.lower() not in {"static", "dynamic"}:
            raise options.illegal("partitionOverwriteMode", chosen, "must be 'static' or 'dynamic'")
        return chosen.lower() == "dynamic"


def _files_exist_already(operation: pb.WriteOperation) -> bool:
    """Whether files need not be written, as there are some. Makes their path a plain one.

    Raises PATH_ALREADY_EXISTS, and as `place_of`.
    """
    given = operation.path if operation.WhichOneof("save_type") == "path" else option(dict(operation.options), "path")
    if given is None or operation.source.lower() not in PATH_FORMATS:
        return False
    folder = place_of(given)
    operation.path = str(folder)
    mode = _SAVE_MODES[operation.mode]
    if mode == "errorifexists" and folder.exists():
        raise AnalysisError.of(
            "PATH_ALREADY_EXISTS",
            f'Path {qualified(folder)} already exists. Set mode as "overwrite" to overwrite the existing path.',
            sql_state="42K04",
            outputPath=qualified(folder),
        )
    return mode == "ignore" and folder.exists()


def by_name(relation: pb.Relation, names: list[str]) -> pb.Relation:
    """`relation` with its columns called `names`, in order."""
    renamed = pb.Relation()
    renamed.to_df.input.CopyFrom(relation)
    renamed.to_df.column_names.extend(names)
    return renamed


def _by_position(request: TableWrite, schema: pa.Schema, table: Table) -> tuple[TableWrite, pa.Schema]:
    """The write with the data's columns called as the table's are. Raises DELTA_INSERT_COLUMN_ARITY_MISMATCH."""
    if len(schema) != len(table.schema):
        if table.format != "delta":
            raise _file_arity_mismatch(table, schema)
        raise arity_mismatch(str(table.name), len(table.schema), len(schema))
    names = table.schema.names
    renamed = pa.schema([pa.field(name, f.type, f.nullable) for name, f in zip(names, schema, strict=True)])
    return replace(request, relation=by_name(request.relation, names)), renamed


def arity_mismatch(table: str, wanted: int, given: int) -> AnalysisError:
    """An INSERT has too few or too many columns."""
    reason = "not enough data columns" if given < wanted else "too many data columns"
    return AnalysisError.of(
        "DELTA_INSERT_COLUMN_ARITY_MISMATCH",
        f"Cannot write to '{table}', {reason}; target table has {wanted} column(s) but the inserted data has {given} "
        "column(s)",
        sql_state="42802",
        tableName=table,
        columnName=reason,
        numColumns=str(wanted),
        insertColumns=str(given),
    )


def _file_arity_mismatch(table: Table, given: pa.Schema) -> AnalysisError:
    """As `arity_mismatch`, for a table that is files."""
    is_short = len(given) < len(table.schema)
    kind, reason = (
        ("NOT_ENOUGH_DATA_COLUMNS", "not enough data columns")
        if is_short
        else ("TOO_MANY_DATA_COLUMNS", "too many data columns")
    )
    wanted, found = (", ".join(f"`{name}`" for name in columns.names) for columns in (table.schema, given))
    return AnalysisError.of(
        f"INSERT_COLUMN_ARITY_MISMATCH.{kind}",
        f"Cannot write to {full(table.name)}, the reason is {reason}:\nTable columns: {wanted}.\n"
        f"Data columns: {found}.",
        sql_state="21S01",
        tableName=full(table.name),
        tableColumns=wanted,
        dataColumns=found,
    )


def _numbered(session: EngineSession, options: DeltaOptions) -> AppTransaction | None:
    """The application and number of an idempotent write, from its options or the session's confs.

    Raises DELTA_INVALID_IDEMPOTENT_WRITES_OPTIONS.
    """
    application = options.maybe("txnAppId") or session.get_conf(TXN_APP_ID.key)
    number = options.maybe("txnVersion") or session.get_conf(TXN_VERSION.key)
    if application is None and number is None:
        return None
    if application is None or number is None:
        raise _invalid_numbering("Both txnAppId and txnVersion must be specified for idempotent Dataframe writes")
    if not number.strip().isdigit():
        raise _invalid_numbering(f"txnVersion must be a number, found '{number}'")
    return AppTransaction(application, int(number))


def _invalid_numbering(reason: str) -> IllegalArgumentError:
    return IllegalArgumentError.of(
        "DELTA_INVALID_IDEMPOTENT_WRITES_OPTIONS",
        f"Invalid options for idempotent Dataframe writes: {reason}",
        sql_state="42616",
        reason=reason,
    )


def _table_properties(request: TableWrite) -> dict[str, str]:
    """Options that are properties of the table that a write makes."""
    return {key: value for key, value in request.options.items() if key.lower().startswith("delta.")}


def _history(request: TableWrite) -> dict[str, str]:
    mode = {"overwrite": "Overwrite", "append": "Append", "ignore": "Ignore"}.get(request.mode, "ErrorIfExists")
    columns = ",".join(f'"{name}"' for name in request.partition_by or ())
    return {"mode": mode, "partitionBy": f"[{columns}]"}


def _other_format(table: Table, given: str) -> AnalysisError:
    return AnalysisError(
        f"The format of the existing table {full(table.name)} is `{table.format}`. It doesn't match the specified "
        f"format `{given}`."
    )
