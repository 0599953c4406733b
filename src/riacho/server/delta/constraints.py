"""What a table demands of its rows: NOT NULL, CHECK constraints, generated columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, SparkRuntimeError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.delta import files
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import Metadata
from riacho.server.delta.rules import checks, parsed, violated
from riacho.server.engine.base import EngineSession
from riacho.server.plan import build

_GENERATION = "delta.generationExpression"
_BROKEN = "__riacho_broken"


@dataclass(frozen=True)
class Demands:
    """What a table demands. `required`: columns that must not be NULL; `rules`: conditions by name."""

    required: tuple[str, ...]
    rules: Mapping[str, str]
    generated: Mapping[str, str]

    @classmethod
    def of(cls, metadata: Metadata) -> Demands:
        """What the table of that metadata demands. Raises as `schemas.to_arrow`."""
        schema = schemas.to_arrow(metadata.schema_json)
        required = tuple(column.name for column in schema if not column.nullable)
        return cls(required, checks(metadata), _generated(metadata))


def checked(
    session: EngineSession,
    relation: pb.Relation,
    schema: pa.Schema,
    demands: Demands,
    assigned: frozenset[str] = frozenset(),
) -> Iterator[pa.RecordBatch]:
    """The rows of a relation that has the columns of `schema`, once they have proved to be what the table demands.

    Generated columns are computed, but for those in `assigned`, which must be what they would be computed to. Raises
    DELTA_NOT_NULL_CONSTRAINT_VIOLATED, DELTA_VIOLATE_CONSTRAINT_WITH_VALUES, and what `computed` does.
    """
    made = {name: text for name, text in demands.generated.items() if name not in assigned}
    if made:
        relation = build.project(
            relation,
            [
                build.alias(build.cast(parsed(made[field.name]), field.type), field.name)
                if field.name in made
                else build.col(field.name)
                for field in schema
            ],
        )
    rules = {
        **demands.rules,
        **{
            f"Generated Column {name}": f"{quote_if_needed(name)} <=> ({text})"
            for name, text in demands.generated.items()
            if name in assigned
        },
    }
    if rules:
        columns = [build.col(field.name) for field in schema]
        relation = build.project(relation, [*columns, _broken(list(rules.values()))])
    if made or rules:
        relation = session.prepared(relation)  # a stream's session runs plans as they are
    for batch in computed(session, relation, schema):
        rows = batch
        if rules:
            _require_unbroken(batch, rules)
            rows = batch.select(schema.names)
        require_present(rows, demands.required)
        yield rows


def require_present(rows: pa.RecordBatch, columns: Iterable[str]) -> None:
    """Raises DELTA_NOT_NULL_CONSTRAINT_VIOLATED."""
    for name in columns:
        if rows.column(name).null_count:
            raise SparkRuntimeError.of(
                "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
                f"NOT NULL constraint violated for column: {name}.\n",
                sql_state="23502",
                columnName=name,
            )


def _generated(metadata: Metadata) -> dict[str, str]:
    fields = json.loads(metadata.schema_json)["fields"]
    return {f["name"]: f["metadata"][_GENERATION] for f in fields if _GENERATION in f.get("metadata", {})}


def _broken(rules: list[str]) -> pb.Expression:
    """The place of the first rule that does not hold; as Delta has it, one that is NULL does not."""
    cases = " ".join(f"WHEN NOT coalesce(({rule}), false) THEN {place}" for place, rule in enumerate(rules))
    return build.alias(parsed(f"CASE {cases} END"), _BROKEN)


def _require_unbroken(batch: pa.RecordBatch, rules: dict[str, str]) -> None:
    column = batch.column(batch.num_columns - 1)
    if column.null_count == len(column):
        return
    row, place = next((row, place) for row, place in enumerate(column.to_pylist()) if place is not None)
    name = list(rules)[place]
    values = "\n".join(
        f" - {key} : {'null' if value is None else value}"
        for key, value in batch.slice(row, 1).to_pylist()[0].items()
        if key != _BROKEN
    )
    raise violated(name, rules[name], values)


def computed(session: EngineSession, relation: pb.Relation, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a relation that has the columns of `schema` in order, with exactly its types.

    Raises DATATYPE_MISMATCH for a nested value that does not fit its column, CAST_INVALID_INPUT.
    """
    if any(pa.types.is_nested(field.type) for field in schema):
        for given, field in zip(session.schema(relation), schema, strict=False):
            if not _fits(types.normalise(given.type), field.type):
                raise _mismatch(field, given.type)
    for batch in session.stream(relation):
        try:
            arrays = [files.conform(batch.column(at), field.type) for at, field in enumerate(schema)]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as failure:
            raise SparkRuntimeError.of("CAST_INVALID_INPUT", str(failure), sql_state="22018") from failure
        yield pa.RecordBatch.from_arrays(
            [*arrays, *batch.columns[len(schema) :]],
            schema=pa.schema([*schema, *list(batch.schema)[len(schema) :]]),
        )


def _fits(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a value can be stored in a column: by name, no field too many, leaves that can be cast."""
    if pa.types.is_struct(given) and pa.types.is_struct(wanted):
        known = {field.name.lower(): field.type for field in wanted}
        return all(field.name.lower() in known and _fits(field.type, known[field.name.lower()]) for field in given)
    if pa.types.is_list(given) and pa.types.is_list(wanted):
        return _fits(given.value_type, wanted.value_type)
    if pa.types.is_map(given) and pa.types.is_map(wanted):
        return _fits(given.key_type, wanted.key_type) and _fits(given.item_type, wanted.item_type)
    if pa.types.is_null(given):
        return True
    return not pa.types.is_nested(given) and not pa.types.is_nested(wanted)


def _mismatch(field: pa.Field, given: pa.DataType) -> AnalysisError:
    source, target = types.type_to_ddl(given), types.type_to_ddl(field.type)
    return AnalysisError.of(
        "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        f"Cannot resolve the value of column {quote_if_needed(field.name)} due to data type mismatch: cannot cast "
        f'"{source}" to "{target}".',
        sql_state="42K09",
        srcType=f'"{source}"',
        targetType=f'"{target}"',
    )
