"""The rules of datasets: how they come with a flow, what they may say, and where the rows go that break them.

`riacho.pipelines` sends a flow with rules as DataFrame operations that any Spark understands, around two hints:

    Hint riacho_checked                      what stock Spark needs: counts, filters
      Filter … CollectMetrics …
        Hint riacho_expectations name, action, text, condition, name, …
          the flow's query

riacho takes the query and the rules out of it; its sinks measure the rows themselves. Stock Spark drops the hints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.engine.spool import empty
from riacho.server.graph.names import Identifier
from riacho.server.plan import build
from riacho.server.plan.mentions import function_names, makes_rows
from riacho.server.plan.pushdown import NOT_DETERMINISTIC
from riacho.server.plan.rules.global_aggregates import is_aggregate
from riacho.server.plan.walk import children, expressions
from riacho.server.streaming.quality import FAILED, NOTE, NOTE_TYPE, RULES, VIOLATED, Expectation, Violation

CHECKED: Final = "riacho_checked"
ONLY_ELSEWHERE: Final = "riacho_quarantine"
"""The hint at the top of a flow that fills a quarantine table on stock Spark, which riacho does by itself."""
ELSEWHERE: Final = "riacho.quarantine"
"""The property of a table that is such a flow's."""
PROPERTY: Final = "riacho.expectations"
"""The property of a table that tells the rules for all of its flows."""
QUARANTINE: Final = "_quarantine"
"""Behind the name of a dataset: its quarantine table."""

_HELPER: Final = "__riacho_holds_"
_REPEATS: Final = "unique:"
"""Before the action of a rule that tells rows which repeat a key."""
_RANDOM: Final = frozenset(name.upper() for name in NOT_DETERMINISTIC)


def is_hint(relation: pb.Relation, name: str) -> bool:
    return relation.WhichOneof("rel_type") == "hint" and relation.hint.name.lower() == name


def lifted(relation: pb.Relation) -> tuple[pb.Relation, tuple[Expectation, ...]]:
    """The query of a flow, and the rules that came with it. A plan without rules of `riacho.pipelines` stays as it is.

    Raises UnsupportedOperationError for rules that a newer `riacho.pipelines` sent.
    """
    if not is_hint(relation, CHECKED):
        return relation, ()
    node = relation.hint.input
    while not is_hint(node, RULES):
        below = list(children(node))
        if len(below) != 1:
            return relation, ()
        node = below[0]
    sent = list(node.hint.parameters)
    return node.hint.input, tuple(_rule(*sent[at : at + 4]) for at in range(0, len(sent), 4))


def _rule(*sent: pb.Expression) -> Expectation:
    name, action, text = (each.literal.string for each in sent[:3])
    try:
        violation = Violation(action.removeprefix(_REPEATS))
    except ValueError:
        raise UnsupportedOperationError(
            f"The expectation {name} asks for '{action}', which this version of riacho does not know. Use the "
            "riacho.pipelines of the server's version."
        ) from None
    return Expectation(name, sent[3], violation, text, repeats=action.startswith(_REPEATS))


def from_text(name: str, text: str, violation: Violation) -> Expectation:
    """The rule of a CONSTRAINT."""
    condition = pb.Expression(expression_string=pb.Expression.ExpressionString(expression=text))
    return Expectation(name, condition, violation, text)


def told(text: str) -> tuple[Expectation, ...]:
    """The rules in the property of a table. Raises IllegalArgumentError for what is none."""
    try:
        return tuple(
            from_text(rule["name"], rule["condition"], Violation(rule["on_violation"]))
            for rule in (json.loads(text) if text else [])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IllegalArgumentError(
            f"The table property {PROPERTY} is a JSON list of expectations, which riacho.pipelines writes; it is not: "
            f"{text} ({error})"
        ) from None


def quarantine_name(dataset: Identifier) -> Identifier:
    """The quarantine table of a dataset."""
    return Identifier((*dataset.qualifier, f"{dataset.name}{QUARANTINE}"))


def has_note(schema: pa.Schema) -> bool:
    """Whether a table says of each row why it was quarantined: others may have a name that ends like this, too."""
    kind = schema.field(NOTE).type if NOTE in schema.names else None
    return kind is not None and pa.types.is_struct(kind) and {f.name for f in NOTE_TYPE} <= {f.name for f in kind}


def wants_quarantine(rules: Iterable[Expectation]) -> bool:
    return any(rule.on_violation is Violation.QUARANTINE for rule in rules)


def kept(relation: pb.Relation, rules: Sequence[Expectation], dataset: str, *, observed: bool) -> pb.Relation:
    """`relation` without the rows that a view's rules do away with; an error at those that must not be there.

    `observed`: with counts, as the metric `riacho_expectations.<dataset>` of the query that reads the view.
    """
    helpers = {f"{_HELPER}{at}": rule.condition for at, rule in enumerate(rules) if rule.repeats}
    if helpers:  # a filter has no windows
        aliases = [build.alias(condition, name).alias for name, condition in helpers.items()]
        relation = pb.Relation(with_columns=pb.WithColumns(input=relation, aliases=aliases))
    broken = {
        rule.name: build.call(
            "not",
            build.call(
                "coalesce",
                build.col(f"{_HELPER}{at}") if rule.repeats else rule.condition,
                build.boolean(False),
            ),
        )
        for at, rule in enumerate(rules)
    }
    if observed:
        relation = pb.Relation(
            collect_metrics=pb.CollectMetrics(input=relation, name=f"{RULES}.{dataset}", metrics=_metrics(broken))
        )
    cases: list[pb.Expression] = []
    for rule in sorted(rules, key=lambda rule: rule.on_violation is not Violation.FAIL):
        if rule.on_violation is Violation.FAIL:
            said = (
                f"Flow '{dataset}' failed to meet the expectation. Violated expectations: '{rule.name} ({rule.text})'"
            )
            raised = build.call("raise_error", build.text(f"[{VIOLATED}] {said}"))
            cases += [broken[rule.name], build.cast(raised, pa.bool_())]
        elif rule.on_violation is not Violation.WARN:
            cases += [broken[rule.name], build.boolean(False)]
    if cases:
        relation = build.where(relation, build.call("when", *cases, build.boolean(True)))
    return build.drop(relation, helpers) if helpers else relation


def _metrics(broken: Mapping[str, pb.Expression]) -> list[pb.Expression]:
    return [
        build.alias(build.call("count", build.integer(1)), "rows"),
        *(build.alias(build.call("count_if", failed), f"{FAILED}{name}") for name, failed in broken.items()),
    ]


def check(
    rules: Sequence[Expectation], schema: pa.Schema, dataset: Identifier, columns_of: Callable[[pb.Relation], pa.Schema]
) -> None:
    """Refuse what cannot be asked of a row that has the columns of `schema`.

    Raises AnalysisError: for two rules of one name, an unknown column, what is not boolean, and what is about more than
    the row or not always the same.
    """
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise _refused(
                name, dataset, "EXPECTATION_NAME_NOT_UNIQUE", "another expectation has that name already.", "42710"
            )
    if wants_quarantine(rules) and NOTE in (column.lower() for column in schema.names):
        raise AnalysisError.of(
            "COLUMN_ALREADY_EXISTS",
            f"The column `{NOTE}` already exists: rows of {dataset} that are quarantined get a column of that name. "
            "Choose another name in the query.",
            sql_state="42711",
            columnName=f"`{NOTE}`",
        )
    for rule in rules:
        _check_form(rule, dataset)
    stand_in = empty(schema)
    try:
        found = columns_of(build.project(stand_in, [build.alias(r.condition, f"c{i}") for i, r in enumerate(rules)]))
    except SparkError:
        for rule in rules:
            _analysed(rule, dataset, stand_in, columns_of)
        raise
    for rule, column in zip(rules, found, strict=True):
        _check_type(rule, dataset, column.type)


def _analysed(
    rule: Expectation, dataset: Identifier, stand_in: pb.Relation, columns_of: Callable[[pb.Relation], pa.Schema]
) -> None:
    """Ask about one rule alone, so that the error says whose it is."""
    try:
        columns_of(build.project(stand_in, [build.alias(rule.condition, "c")]))
    except SparkError as failure:
        raise AnalysisError(
            f"{failure.message}\nThis is about the expectation '{rule.name}' ({rule.text}) of {dataset}.",
            condition=failure.condition,
            sql_state=failure.sql_state,
            parameters=failure.parameters,
        ) from failure


def _check_form(rule: Expectation, dataset: Identifier) -> None:
    for part in [rule.condition, *expressions(rule.condition)]:
        called = function_names(part)
        kind = part.WhichOneof("expr_type")
        if kind == "subquery_expression" or (kind == "expression_string" and "SELECT" in called):
            raise _refused(
                rule.name,
                dataset,
                "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.UNSUPPORTED_CORRELATED_SCALAR_SUBQUERY",
                f"({rule.text}) has a subquery, and a rule is about one row. Join the other table in the query.",
                "0A000",
            )
        window = kind == "window" or (kind == "expression_string" and "OVER" in called)
        if not rule.repeats and (window or is_aggregate(part) or makes_rows(part)):
            raise _refused(
                rule.name,
                dataset,
                "INVALID_WHERE_CONDITION",
                f"({rule.text}) contains an aggregate, window or generator function, and a rule is about one row.",
                "42903",
            )
        if called & _RANDOM:
            raise _refused(
                rule.name,
                dataset,
                "INVALID_NON_DETERMINISTIC_EXPRESSIONS",
                f"({rule.text}) is not deterministic: a batch that runs again has to find the same rows broken.",
                "42K0E",
            )


def _check_type(rule: Expectation, dataset: Identifier, found: pa.DataType) -> None:
    if not (pa.types.is_boolean(found) or pa.types.is_null(found)):
        raise _refused(
            rule.name,
            dataset,
            "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
            f"({rule.text}) is of the type {found} and not a boolean.",
            "42K09",
        )


def _refused(name: str, dataset: Identifier, condition: str, why: str, sql_state: str) -> AnalysisError:
    return AnalysisError.of(
        condition, f"The expectation '{name}' of {dataset}: {why}", sql_state=sql_state, expectation=name
    )
