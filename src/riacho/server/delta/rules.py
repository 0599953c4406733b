"""CHECK constraints and column invariants: what a table demands of each row, beside NOT NULL.

The engine checks them while it writes the rows: a row that breaks a rule makes it raise.

    before          after
    relation        Project CASE WHEN NOT coalesce(rule, false) THEN raise_error('…') … ELSE c END AS c, …
                      relation, with the columns that it lacks as nulls

Not a filter: the engine puts filters together and tests them all on rows of which only some are written, so that a row
that a WHERE takes out would be refused; and it makes AND and OR of a CASE of booleans, and tells of another row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import SparkError, SparkRuntimeError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.delta.actions import Metadata
from riacho.server.engine.base import EngineSession
from riacho.server.engine.pieces import prepared_value
from riacho.server.plan import build
from riacho.server.sql.tokens import Edit, splice, tokenize

CONSTRAINT = "delta.constraints."
_INVARIANTS = "delta.invariants"
_VIOLATED = "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"


def checks(metadata: Metadata) -> dict[str, str]:
    """The conditions of a table's CHECK constraints and invariants, by name."""
    columns = frozenset(field["name"] for field in json.loads(metadata.schema_json)["fields"])
    named = {
        key.removeprefix(CONSTRAINT): _in_spark_words(condition, columns)
        for key, condition in metadata.configuration.items()
        if key.startswith(CONSTRAINT)
    }
    for field in json.loads(metadata.schema_json)["fields"]:
        rule = field.get("metadata", {}).get(_INVARIANTS)
        if rule is not None:
            named[f"EXPRESSION({field['name']})"] = json.loads(rule)["expression"]["expression"]
    return named


def _in_spark_words(condition: str, columns: frozenset[str]) -> str:
    """A condition as Spark writes it: delta-rs puts names of columns with capitals between double quotes."""
    edits = [
        Edit(token.start, token.end, quote_if_needed(token.text[1:-1]))
        for token in tokenize(condition)
        if token.kind == "string" and token.text.startswith('"') and token.text[1:-1] in columns
    ]
    return splice(condition, edits)


def parsed(text: str) -> pb.Expression:
    """A condition of a table."""
    return pb.Expression(expression_string=pb.Expression.ExpressionString(expression=text))


def broken(rule: str) -> pb.Expression:
    """Whether a row breaks a rule; as Delta has it, a row for which it is NULL does."""
    return build.call("not", build.call("coalesce", parsed(rule), build.boolean(False)))


@dataclass(frozen=True)
class Guard:
    """A column of a table, and an expression that has its value, or fails at a row that breaks a rule of the table."""

    column: str
    value: pb.Expression


def guard(session: EngineSession, table: pa.Schema, rules: Mapping[str, str]) -> Guard | None:
    """What stands guard over the rows of a table; None without rules.

    Raises what the engine says of a rule that it cannot resolve.
    """
    if not rules:
        return None
    column = next((field for field in table if not pa.types.is_nested(field.type)), table.field(0))
    cases: list[pb.Expression] = []
    for name, rule in rules.items():
        raised = build.call("raise_error", _message(name, rule, table))
        cases += [broken(rule), raised if pa.types.is_nested(column.type) else build.cast(raised, column.type)]
    value = build.alias(build.call("when", *cases, build.col(column.name)), column.name)
    return Guard(column.name, prepared_value(session, table, value))


def guarded(relation: pb.Relation, given: list[str], table: pa.Schema, rules: Guard | None) -> pb.Relation:
    """`relation`, whose columns are `given`, with the guard of the table that it goes to.

    Raises UNSUPPORTED_DATATYPE.
    """
    if rules is None:
        return relation
    missing = [field for field in table if field.name not in given]
    if missing:
        nulls = [build.alias(build.cast(build.null(), field.type), field.name) for field in missing]
        relation = build.project(relation, [*map(build.col, given), *nulls])
    names = [*given, *(field.name for field in missing)]
    return build.project(relation, [rules.value if name == rules.column else build.col(name) for name in names])


@contextmanager
def told() -> Iterator[None]:
    """Give what the engine raises at a row that breaks a rule its class: it has but one for all that is raised.

    Raises SparkRuntimeError for it, and everything else as it comes.
    """
    try:
        yield
    except SparkError as failure:
        if failure.condition != _VIOLATED:
            raise
        text = failure.message if "SQLSTATE" in failure.message else f"{failure.message} SQLSTATE: 23001"
        raise SparkRuntimeError(text, condition=_VIOLATED, sql_state="23001") from failure


def violated(name: str, rule: str, values: str) -> SparkRuntimeError:
    """The error for a row that breaks a rule."""
    return SparkRuntimeError.of(
        _VIOLATED,
        f"CHECK constraint {name} ({rule}) violated by row with values:\n{values}",
        sql_state="23001",
        constraintName=name,
        expression=rule,
        values=values,
    )


def _message(name: str, rule: str, table: pa.Schema) -> pb.Expression:
    """What is raised, with the values of the columns that the rule names."""
    said = {token.name.lower() for token in tokenize(rule) if token.name is not None}
    parts = [build.text(f"[{_VIOLATED}] CHECK constraint {name} ({rule}) violated by row with values:")]
    for field in table:
        if field.name.lower() in said:
            value = build.call("coalesce", build.cast(build.col(field.name), pa.string()), build.text("null"))
            parts += [build.text(f"\n - {field.name} : "), value]
    return build.call("concat", *parts)
