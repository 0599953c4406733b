"""What a table demands of its rows: NOT NULL, CHECK constraints, generated columns."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa

from riacho.catalog.delta.actions import Metadata
from riacho.catalog.delta.rules import checks, violated
from riacho.catalog.dml.assign import computed
from riacho.catalog.dml.job import Job
from riacho.errors import SparkRuntimeError
from riacho.plan import build
from riacho.protos import pb

_GENERATION = "delta.generationExpression"
_BROKEN = "__riacho_broken"


def checked(
    job: Job, relation: pb.Relation, schema: pa.Schema, assigned: frozenset[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a relation that has the columns of `schema`, once they have proved to be what the table demands.

    Generated columns are computed, but for those in `assigned`, which must be what they would be computed to. Raises
    DELTA_NOT_NULL_CONSTRAINT_VIOLATED, DELTA_VIOLATE_CONSTRAINT_WITH_VALUES, and what `computed` does.
    """
    generated = _generated(job.snapshot.metadata)
    given = assigned or frozenset()
    made = {name: text for name, text in generated.items() if name not in given}
    if made:
        relation = build.project(
            relation,
            [
                build.alias(build.cast(_parsed(made[field.name]), field.type), field.name)
                if field.name in made
                else build.col(field.name)
                for field in schema
            ],
        )
    rules = {
        **checks(job.snapshot.metadata),
        **{f"Generated Column {name}": f"`{name}` <=> ({generated[name]})" for name in given if name in generated},
    }
    if rules:
        relation = build.project(
            relation, [*(build.col(field.name) for field in schema), _broken(list(rules.values()))]
        )
    for batch in computed(job, relation, schema):
        rows = batch
        if rules:
            _require_unbroken(batch, rules)
            rows = batch.select(schema.names)
        for name in job.snapshot.required:
            if rows.column(name).null_count:
                raise SparkRuntimeError.of(
                    "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
                    f"NOT NULL constraint violated for column: {name}.\n",
                    sql_state="23502",
                    columnName=name,
                )
        yield rows


def _generated(metadata: Metadata) -> dict[str, str]:
    fields = json.loads(metadata.schema_json)["fields"]
    return {f["name"]: f["metadata"][_GENERATION] for f in fields if _GENERATION in f.get("metadata", {})}


def _parsed(text: str) -> pb.Expression:
    return pb.Expression(expression_string=pb.Expression.ExpressionString(expression=text))


def _broken(rules: list[str]) -> pb.Expression:
    """The place of the first rule that does not hold; as Delta has it, one that is NULL does not."""
    cases = " ".join(f"WHEN NOT coalesce(({rule}), false) THEN {place}" for place, rule in enumerate(rules))
    return build.alias(_parsed(f"CASE {cases} END"), _BROKEN)


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
