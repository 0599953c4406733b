"""Write the rows of a relation to a Delta table as one version: what the streaming sink and `df.write` share.

Steps: decide how the data fit the table as it stands, let the engine write the files, commit them. If somebody changed
the table's schema in between, the files are thrown away and all begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.errors import AnalysisError, SparkGeneralError, SparkRuntimeError
from riacho.protos import pb
from riacho.server.delta import changes, files, partitions
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import Json, Metadata, Protocol, transaction
from riacho.server.delta.constraints import Demands, checked
from riacho.server.delta.fit import Fit, fit, fresh
from riacho.server.delta.protocol import APPEND_ONLY, CHANGE_FEED, AppendRoute, append_route, enabled
from riacho.server.delta.rules import Guard, checks, guard, guarded, told
from riacho.server.delta.state import TableState
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.plan import build
from riacho.storage import Place

MAX_REPLANS = 5
_CHANGE_COLUMNS = frozenset({"_change_type", "_commit_version", "_commit_timestamp"})


@dataclass(frozen=True)
class WriteMode:
    """How rows go in.

    `overwrite`: all rows that are there go out in the same version; with `dynamic` only those of the partitions that
    the new rows belong to. `partition_by`: None if the writer did not say. `comment` and `properties` are for a table
    that is made by the write.
    """

    overwrite: bool = False
    dynamic: bool = False
    merge_schema: bool = False
    overwrite_schema: bool = False
    partition_by: tuple[str, ...] | None = None
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AppTransaction:
    """One of an application's numbered writes: it is left out if its number is not above the last one committed."""

    application: str
    number: int


@dataclass(frozen=True)
class DeltaOperation:
    """What DESCRIBE HISTORY says of the version."""

    name: str
    parameters: Mapping[str, Any]
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the commit says of itself, for riacho alone."""


@dataclass(frozen=True)
class Written:
    """The version made, or None for a repetition, and what went in."""

    version: int | None
    rows: int = 0


@dataclass(frozen=True)
class _WritePlan:
    """What was decided on the table as it stood. Equal plans write equal files and the same metadata.

    `schema` and `basis`: what it was decided on.
    """

    schema: pa.Schema = field(compare=False, repr=False)
    basis: tuple[Metadata, Protocol] | None = field(compare=False, repr=False)
    fit: Fit
    route: AppendRoute
    partition_by: tuple[str, ...]
    required: tuple[str, ...]
    """Columns that must not be NULL."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """CHECK constraints and invariants, by name."""

    def project(self, relation: pb.Relation, rules: Guard | None) -> pb.Relation:
        """The rows as they are written, checked on the way."""
        given = [column.target for column in self.fit.columns]
        return self._with_partitions(guarded(self.fit.project(relation), given, self.fit.table, rules), given)

    def _with_partitions(self, relation: pb.Relation, given: Sequence[str]) -> pb.Relation:
        """The rows with the partition columns that they lack, as NULL: files may lack columns, folders may not."""
        missing = [
            build.alias(build.cast(build.null(), self.fit.table.field(name).type), name).alias
            for name in self.partition_by
            if name not in given
        ]
        return pb.Relation(with_columns=pb.WithColumns(input=relation, aliases=missing)) if missing else relation


class _TableChangedError(Exception):
    """Somebody changed the table between the plan and the commit, so that the plan no longer fits."""


class RowWriter:
    """Writes to one table, again and again. Not for several threads at once.

    With `mode.overwrite` the `DeltaWriter` must have been made `with_files`.
    """

    def __init__(self, writer: DeltaWriter, session: EngineSession, mode: WriteMode, clock: Clock) -> None:
        self.table = writer.log.table
        self._writer = writer
        self._session = session
        self._mode = mode
        self._clock = clock
        self._plan: _WritePlan | None = None

    def write(
        self,
        relations: Iterable[pb.Relation],
        schema: pa.Schema,
        operation: DeltaOperation,
        numbered: AppTransaction | None = None,
        wanted: Callable[[TableState | None, int], bool] = lambda _state, _rows: True,
    ) -> Written:
        """Write the rows of `relations`, each with the columns `schema`, as one version of the table.

        The relations are run one by one, each before the next one is asked for; all of them again if the table changed
        meanwhile. A table that is missing is made. A write without rows makes a version too, as on Spark. `wanted` is
        told of the table that the version is to follow and of the rows; no version is made if it says no. Raises what
        it raises, what `plan_write` raises, DELTA_NOT_NULL_CONSTRAINT_VIOLATED, and what the engine raises; then no
        version was made and no file is left.
        """
        for _ in range(MAX_REPLANS):
            state = self._writer.state()
            if repeated(state, numbered):
                return Written(None)
            plan = self._planned(state, schema)
            if plan.route is AppendRoute.COMPUTED:
                new = files.write_batches(self._computed(relations, plan), self.table, plan.partition_by)
            else:
                with told():
                    projected = (plan.project(relation, self._guard) for relation in relations)
                    new = files.write_relations(self._session, projected, self.table, plan.partition_by)
            try:
                _check_not_null(plan, new)
                return self._commit(plan, new, schema, operation, numbered, wanted)
            except _TableChangedError:
                files.discard(self.table, new)
            except BaseException:
                files.discard(self.table, new)
                raise
        raise SparkGeneralError.of(
            "DELTA_METADATA_CHANGED",
            "MetadataChangedException: The metadata of the Delta table has been changed by a concurrent update, "
            f"{MAX_REPLANS} times in a row. Please try the operation again.",
            sql_state="2D521",
        )

    def _planned(self, state: TableState | None, schema: pa.Schema) -> _WritePlan:
        """The plan for the table as it stands; the last one if nothing that it rests on has changed."""
        last = self._plan
        basis = None if state is None else (state.metadata, state.protocol)
        if last is None or last.schema is not schema or last.basis is None or basis is None or last.basis != basis:
            self._plan = last = plan_write(self.table, state, schema, self._mode)
            self._guard = guard(self._session, last.fit.table, last.rules)
        return last

    def _commit(
        self,
        plan: _WritePlan,
        new: Sequence[files.NewFile],
        schema: pa.Schema,
        operation: DeltaOperation,
        numbered: AppTransaction | None,
        wanted: Callable[[TableState | None, int], bool],
    ) -> Written:
        rows = sum(file.rows for file in new)

        def decide(state: TableState | None) -> list[Json] | None:
            if repeated(state, numbered) or not wanted(state, rows):
                return None
            if self._planned(state, schema) != plan:
                raise _TableChangedError
            now_ms = self._clock.now_ms()
            out = _removed(state, new, self._mode, now_ms)
            metrics = {
                "numFiles": len(new),
                "numOutputRows": rows,
                "numOutputBytes": sum(file.add.size for file in new),
                "numRemovedFiles": len(out),
            }
            info = changes.commit_info(
                operation.name,
                operation.parameters,
                now_ms,
                read_version=None if state is None else state.version,
                blind_append=not self._mode.overwrite,
                metrics=metrics,
                notes=operation.notes,
            )
            noted = [] if numbered is None else [transaction(numbered.application, numbered.number, now_ms)]
            return [info, *_metadata(state, plan, self._mode, now_ms), *noted, *out, *(f.add.to_json() for f in new)]

        committed = self._writer.commit(decide)
        if committed is None:
            files.discard(self.table, new)
            return Written(None)
        return Written(committed.version, rows)

    def _computed(self, relations: Iterable[pb.Relation], plan: _WritePlan) -> Iterator[pa.RecordBatch]:
        """The rows with all of the table's columns, generated ones computed."""
        assert plan.basis is not None, "only a table that there is has generated columns"
        demands = Demands.of(plan.basis[0])
        given = frozenset(column.target for column in plan.fit.columns)
        schema = types.nullable(plan.fit.table)
        columns = [
            build.col(field.name)
            if field.name in given
            else build.alias(build.cast(build.null(), field.type), field.name)
            for field in schema
        ]
        for relation in relations:
            whole = build.project(plan.fit.project(relation), columns)
            yield from checked(self._session, whole, schema, demands, given)


def plan_write(table: Place, state: TableState | None, schema: pa.Schema, mode: WriteMode) -> _WritePlan:
    """Decide how data of `schema` go into a table. No I/O.

    Raises the errors of `fit`, `check_writable` and `append_route`, DELTA_METADATA_MISMATCH.PARTITIONING_MISMATCH,
    DELTA_CANNOT_MODIFY_APPEND_ONLY, RESERVED_CDC_COLUMNS_ON_WRITE.
    """
    basis = None if state is None else (state.metadata, state.protocol)
    if state is None or (mode.overwrite and mode.overwrite_schema):
        schemas.check_writable(schema, mode.partition_by or ())
        route = AppendRoute.DIRECT if state is None else append_route(table, state.protocol, state.metadata)
        partition_by = changes.partition_columns(schema, mode.partition_by or ())
        rules = {} if state is None else checks(state.metadata)
        return _WritePlan(schema, basis, fresh(schema), route, partition_by, (), rules)
    metadata = state.metadata
    _check_change_columns(schema, metadata.configuration)
    if mode.partition_by is not None:
        _check_partitioning(mode.partition_by, metadata.partition_columns)
    if mode.overwrite and enabled(metadata.configuration, APPEND_ONLY):
        raise changes.append_only(metadata.name)
    existing = schemas.to_arrow(metadata.schema_json)
    fitted = fit(existing, schema, merge_schema=mode.merge_schema, table_id=metadata.id)
    if fitted.grown:
        schemas.check_writable(fitted.table, metadata.partition_columns)
    required = tuple(f.name for f in existing if not f.nullable)
    route = append_route(table, state.protocol, metadata)
    return _WritePlan(schema, basis, fitted, route, metadata.partition_columns, required, checks(metadata))


def _metadata(state: TableState | None, plan: _WritePlan, mode: WriteMode, now_ms: int) -> list[Json]:
    """The protocol and metadata actions that the write needs, if any."""
    if state is None:
        made = changes.TableDefinition(plan.fit.table, plan.partition_by, mode.comment, mode.properties)
        return changes.creation(made, now_ms)
    if mode.overwrite and mode.overwrite_schema:
        return changes.relayout(state, plan.fit.table, plan.partition_by)
    return changes.alteration(state, schema=plan.fit.table) if plan.fit.grown else []


def _removed(state: TableState | None, new: Sequence[files.NewFile], mode: WriteMode, now_ms: int) -> list[Json]:
    if state is None or not mode.overwrite:
        return []
    if not mode.dynamic or not state.metadata.partition_columns:
        return changes.removal(state, now_ms)
    schema = schemas.to_arrow(state.metadata.schema_json)
    touched = {partitions.canonical(file.add.partition_values, schema) for file in new}
    held = changes.require_files(state).values()
    return [file.removed(now_ms) for file in held if partitions.canonical(file.partition_values, schema) in touched]


def repeated(state: TableState | None, numbered: AppTransaction | None) -> bool:
    """Whether the table has this write, or a later one of the same application, already."""
    if state is None or numbered is None:
        return False
    return state.transactions.get(numbered.application, -1) >= numbered.number


def _check_change_columns(schema: pa.Schema, configuration: Mapping[str, str]) -> None:
    reserved = sorted(_CHANGE_COLUMNS & {name.lower() for name in schema.names})
    if reserved and enabled(configuration, CHANGE_FEED):
        names = ", ".join(reserved)
        raise AnalysisError.of(
            "RESERVED_CDC_COLUMNS_ON_WRITE",
            f"\nThe write contains reserved columns {names} that are used\ninternally as metadata for Change Data "
            "Feed. To write to the table either rename/drop\nthese columns or disable Change Data Feed on the table "
            f"by setting\n{CHANGE_FEED} to false.",
            sql_state="42939",
            columnList=names,
            config=CHANGE_FEED,
        )


def _check_partitioning(given: Sequence[str], existing: Sequence[str]) -> None:
    if [name.lower() for name in given] != [name.lower() for name in existing]:
        raise AnalysisError.of(
            "DELTA_METADATA_MISMATCH.PARTITIONING_MISMATCH",
            "A metadata mismatch was detected when writing to the Delta table. Partition columns do not match the "
            f"partition columns of the table.\nGiven: [{', '.join(given)}]\nTable: [{', '.join(existing)}]\n",
            sql_state="42KDG",
            provided=", ".join(given),
            original=", ".join(existing),
        )


def _check_not_null(plan: _WritePlan, new: Sequence[files.NewFile]) -> None:
    for name in plan.required:
        partition = name in plan.partition_by
        if any((file.add.partition_values[name] is None) if partition else file.nulls.get(name) for file in new):
            raise SparkRuntimeError.of(
                "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
                f"NOT NULL constraint violated for column: {name}.\n",
                sql_state="23502",
                columnName=name,
            )
