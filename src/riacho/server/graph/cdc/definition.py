"""What an AUTO CDC flow is asked to do, as values, and what must hold of it before it runs.

An `AutoCdc` is what somebody wrote: in Python (the messages of `create_auto_cdc_flow`) or in SQL. A `CdcFlow` is the
same once the columns of its source are known. Source: Spark's `ChangeArgs`, `AutoCdcMergeFlow`, `PipelinesHandler`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import pyarrow as pa

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.graph.cdc import failures
from riacho.server.graph.names import Identifier, parse
from riacho.server.graph.reads import table_read
from riacho.server.plan import build
from riacho.server.plan.text import column_name
from riacho.server.sql.cursor import dotted_name

PREFIX = "__spark_autocdc_"
"""What names begin with that AUTO CDC keeps for itself."""
METADATA = PREFIX + "metadata"
START_AT = "__START_AT"
END_AT = "__END_AT"
SEQUENCE = PREFIX + "sequence"
DELETE = PREFIX + "delete"
TRUNCATE = PREFIX + "truncate"


ARGUMENTS = "pipelines.autocdc.arguments"
"""Where `riacho.pipelines` says what the message has no field for."""


class ScdType(IntEnum):
    """How a target keeps what it was: not at all, or every version of a row."""

    TYPE_1 = 1
    TYPE_2 = 2

    @property
    def label(self) -> str:
        """As the auxiliary table's property has it."""
        return f"SCD{self.value}"


@dataclass(frozen=True)
class ColumnSelection:
    """These columns, or with `excluded` all but these."""

    columns: tuple[str, ...]
    excluded: bool = False

    def of(self, schema: pa.Schema, case_sensitive: bool) -> list[str]:
        """The names in `schema` that are selected, in its order. Raises AUTOCDC_COLUMNS_NOT_FOUND_IN_SCHEMA."""
        found = {name: find(schema, name, case_sensitive) for name in self.columns}
        missing = [name for name, column in found.items() if column is None]
        if missing:
            raise failures.columns_not_found(missing, schema.names, case_sensitive)
        named = set(found.values())
        return [name for name in schema.names if (name in named) != self.excluded]


EVERY: Final = ColumnSelection((), excluded=True)
"""All columns, but keys."""


@dataclass(frozen=True)
class SnapshotSource:
    """The snapshots that a flow got: their versions, rising.

    `after`: the version after which they were asked for; None if from the first one on. `is_table`: it is one, of a
    table as it is when the flow runs.
    """

    versions: tuple[pb.Expression, ...]
    after: str | None = None
    is_table: bool = False


@dataclass(frozen=True)
class AutoCdc:
    """The arguments of an AUTO CDC flow.

    `source`: what it reads as a stream; with `once`, as a batch, one time. `columns`: which columns the target has.
    `ignore_nulls`: the columns in which NULL means that the event says nothing of them. `track_history`: the columns
    whose changes make a new version of a row (SCD type 2). None in each case if nothing was said. `snapshots`: the
    source gives states of a table instead of events.
    """

    source: Identifier
    keys: tuple[str, ...]
    sequence_by: pb.Expression
    stored_as: ScdType = ScdType.TYPE_1
    apply_as_deletes: pb.Expression | None = None
    apply_as_truncates: pb.Expression | None = None
    columns: ColumnSelection | None = None
    ignore_nulls: ColumnSelection | None = None
    track_history: ColumnSelection | None = None
    once: bool = False
    snapshots: SnapshotSource | None = None

    @property
    def source_read(self) -> pb.Relation:
        """The source as the flow reads it."""
        return table_read(self.source, streaming=not self.once, options={})

    def __post_init__(self) -> None:
        """Raises AUTOCDC_EMPTY_KEYS, and UnsupportedOperationError for arguments that exclude each other."""
        if not self.keys:
            raise failures.empty_keys()
        if self.track_history is not None and self.stored_as is not ScdType.TYPE_2:
            raise UnsupportedOperationError(
                "TRACK HISTORY ON (track_history_column_list, track_history_except_column_list) is for SCD type 2: "
                "type 1 keeps no history. Add STORED AS SCD TYPE 2 (stored_as_scd_type=2)."
            )
        if self.apply_as_truncates is not None and self.stored_as is not ScdType.TYPE_1:
            raise UnsupportedOperationError(
                "APPLY AS TRUNCATE WHEN (apply_as_truncates) is for SCD type 1: type 2 keeps all versions of all rows."
            )


def selection(include: Sequence[str], exclude: Sequence[str]) -> ColumnSelection | None:
    """What two lists of columns say, of which one is empty."""
    if include:
        return ColumnSelection(tuple(include))
    return ColumnSelection(tuple(exclude), excluded=True) if exclude else None


def from_proto(command: pb.PipelineCommand.DefineFlow) -> AutoCdc:
    """What a client's `create_auto_cdc_flow` says, Spark's own or that of `riacho.pipelines`.

    Raises AUTOCDC_MISSING_SOURCE, AUTOCDC_MISSING_SEQUENCE_BY, AUTOCDC_NON_COLUMN_IDENTIFIER,
    AUTOCDC_MULTIPART_COLUMN_IDENTIFIER, AUTOCDC_BOTH_COLUMN_LIST_AND_EXCEPT_COLUMN_LIST, and what `AutoCdc` raises.
    """
    details, more = command.auto_cdc_flow_details, _More()
    if command.HasField("extension"):
        extended = pb.PipelineCommand.DefineFlow()
        if not command.extension.Unpack(extended) or not extended.HasField("auto_cdc_flow_details"):
            raise UnsupportedOperationError("Unsupported DefineFlow details case: EXTENSION")
        details = extended.auto_cdc_flow_details
        more = _More.read(extended.sql_conf.get(ARGUMENTS, "{}"))
    if not details.HasField("source"):
        raise failures.missing_source()
    if not details.HasField("sequence_by"):
        raise failures.missing_sequence_by()
    if details.column_list and details.except_column_list:
        raise failures.both_column_lists()
    columns = selection(column_names(details.column_list), column_names(details.except_column_list))
    ignored = selection(
        [*column_names(details.ignore_null_updates_column_list), *more.ignore_nulls],
        [*column_names(details.ignore_null_updates_except_column_list), *more.ignore_nulls_except],
    )
    return AutoCdc(
        source=parse(details.source),
        keys=tuple(column_names(details.keys)),
        sequence_by=details.sequence_by,
        stored_as=_scd_type(more.scd_type or details.stored_as_scd_type),
        apply_as_deletes=details.apply_as_deletes if details.HasField("apply_as_deletes") else None,
        apply_as_truncates=details.apply_as_truncates if details.HasField("apply_as_truncates") else None,
        columns=columns,
        ignore_nulls=ignored or (EVERY if more.ignore_all_nulls else None),
        track_history=selection(more.track_history, more.track_history_except),
        once=command.once,
    )


@dataclass(frozen=True)
class _More:
    """The arguments for which the message has no field."""

    scd_type: int = 0
    ignore_all_nulls: bool = False
    ignore_nulls: tuple[str, ...] = ()
    ignore_nulls_except: tuple[str, ...] = ()
    track_history: tuple[str, ...] = ()
    track_history_except: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> _More:
        """Raises AUTOCDC_MULTIPART_COLUMN_IDENTIFIER, PARSE_SYNTAX_ERROR."""
        given = json.loads(text)

        def names(argument: str) -> tuple[str, ...]:
            return tuple(single_name(dotted_name(name)) for name in given.get(argument, ()))

        return cls(
            given.get("stored_as_scd_type", 0),
            bool(given.get("ignore_null_updates")) or given.get("ignore_null_updates_except_column_list") == [],
            names("ignore_null_updates_column_list"),
            names("ignore_null_updates_except_column_list"),
            names("track_history_column_list"),
            names("track_history_except_column_list"),
        )


def column_names(expressions: Iterable[pb.Expression]) -> list[str]:
    """The columns that expressions name, each by a single name. Raises as `from_proto`."""
    return [_column_name(expression) for expression in expressions]


def _column_name(expression: pb.Expression) -> str:
    if expression.WhichOneof("expr_type") != "unresolved_attribute":
        raise failures.not_a_column(column_name(expression))
    return single_name(dotted_name(expression.unresolved_attribute.unparsed_identifier))


def single_name(parts: Sequence[str]) -> str:
    """The only part of a column's name. Raises AUTOCDC_MULTIPART_COLUMN_IDENTIFIER."""
    if len(parts) != 1:
        raise failures.multipart_column(parts)
    return parts[0]


def _scd_type(number: int) -> ScdType:
    """The enum is an open one: later clients have a number for type 2 too."""
    if number not in (0, *ScdType):
        raise UnsupportedOperationError(f"SCD type {number} is not supported: there are types 1 and 2.")
    return ScdType(number or 1)


def find(schema: pa.Schema, name: str, case_sensitive: bool) -> str | None:
    """The first column of that name, as the schema spells it."""
    for known in schema.names:
        if known == name or (not case_sensitive and known.lower() == name.lower()):
            return str(known)
    return None


@dataclass(frozen=True)
class CdcFlow:
    """An AUTO CDC flow whose source is known.

    `keys`: their names as the source has them. `selected`: the columns of the source that the target takes, in its
    order. `sequence`: the type of the sequence. `case_sensitive`: whether names that differ in case are two.
    """

    definition: AutoCdc
    keys: tuple[str, ...]
    selected: pa.Schema
    sequence: pa.DataType
    case_sensitive: bool = False

    @property
    def stored_as(self) -> ScdType:
        return self.definition.stored_as

    @property
    def key_schema(self) -> pa.Schema:
        """The key columns, in the order in which the flow names them."""
        return pa.schema([self.selected.field(name) for name in self.keys])

    def events(self, source: pb.Relation) -> pb.Relation:
        """What the target needs of each event: the selected columns, its place in the sequence, what it asks for.

        Conditions that are NULL do not hold. All is computed before columns are left out.
        """
        definition = self.definition
        return build.project(
            source,
            [
                *(build.col(name) for name in self.selected.names),
                build.alias(definition.sequence_by, SEQUENCE),
                _flag(definition.apply_as_deletes, DELETE),
                _flag(definition.apply_as_truncates, TRUNCATE),
            ],
        )


def _flag(condition: pb.Expression | None, name: str) -> pb.Expression:
    value = build.boolean(False)
    if condition is not None:
        value = build.call("coalesce", build.cast(condition, pa.bool_()), value)
    return build.alias(value, name)


def resolved(definition: AutoCdc, source: pa.Schema, *, case_sensitive: bool = False) -> CdcFlow:
    """The flow over a source with these columns. The type of its sequence is yet to be found out.

    Raises AUTOCDC_RESERVED_COLUMN_NAME_PREFIX_CONFLICT, for SCD type 2 AUTOCDC_RESERVED_COLUMN_NAME_CONFLICT,
    AUTOCDC_COLUMNS_NOT_FOUND_IN_SCHEMA, AUTOCDC_KEY_NOT_IN_SELECTED_SCHEMA, COLUMN_ALREADY_EXISTS.
    """
    check_reserved(source, case_sensitive)
    if definition.stored_as is ScdType.TYPE_2:
        check_interval(source, case_sensitive)
    chosen = source.names if definition.columns is None else definition.columns.of(source, case_sensitive)
    selected = pa.schema([source.field(name) for name in chosen])
    keys = []
    for key in definition.keys:
        name = find(selected, key, case_sensitive)
        if name is None:
            raise failures.key_not_selected(key, case_sensitive)
        if name in keys:
            raise failures.key_named_twice(name)
        keys.append(name)
    others = pa.schema([field for field in selected if field.name not in keys])
    for listed in (definition.ignore_nulls, definition.track_history):
        if listed is not None:
            listed.of(others, case_sensitive)
    return CdcFlow(definition, tuple(keys), selected, pa.null(), case_sensitive)


def check_interval(source: pa.Schema, case_sensitive: bool) -> None:
    """Raises AUTOCDC_RESERVED_COLUMN_NAME_CONFLICT for a column that is called as an end of a version's time."""
    for name in (START_AT, END_AT):
        column = find(source, name, case_sensitive)
        if column is not None:
            raise failures.interval_name(column, name, case_sensitive)


def check_reserved(source: pa.Schema, case_sensitive: bool) -> None:
    """Raises AUTOCDC_RESERVED_COLUMN_NAME_PREFIX_CONFLICT for a column whose name begins as AUTO CDC's own do."""
    for name in source.names:
        if name.startswith(PREFIX) or (not case_sensitive and name.lower().startswith(PREFIX)):
            raise failures.reserved_name(name, PREFIX, case_sensitive)
