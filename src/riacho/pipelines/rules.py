"""Expectations: rules for the rows of a dataset, as decorators of its query function.

    @dp.table
    @dp.expect("named", "name IS NOT NULL")
    @dp.expect_or_drop("positive", "price > 0")
    def orders(): ...

A rule that is NULL for a row counts as broken. `expect` keeps the row and counts it, `expect_or_drop` drops it,
`expect_or_quarantine` puts it into `<dataset>_quarantine`, and `expect_or_fail` makes the flow fail before anything is
written. A row that breaks several rules has the fate of the strictest one. Conditions are SQL text or Columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from inspect import unwrap
from typing import Final, TypeVar, cast

from pyspark.pipelines.source_code_location import SourceCodeLocation
from pyspark.sql import Column, DataFrame

from riacho.pipelines import plans
from riacho.pipelines.locations import user_location
from riacho.pipelines.plans import DROP, FAIL, QUARANTINE, WARN, Condition, Rule, Unique

QueryFunction = Callable[[], DataFrame]
Decorated = TypeVar("Decorated")
"""A query function, or what a decorator above it made of it."""


def expect(name: str, condition: Condition) -> Expect:
    """Count the rows that break the rule; they are written all the same."""
    return _expect({name: condition}, WARN)


def expect_or_drop(name: str, condition: Condition) -> Expect:
    """Leave out the rows that break the rule."""
    return _expect({name: condition}, DROP)


def expect_or_fail(name: str, condition: Condition) -> Expect:
    """Let the flow fail if a row breaks the rule; nothing of its batch is written."""
    return _expect({name: condition}, FAIL)


def expect_or_quarantine(name: str, condition: Condition) -> Expect:
    """Write the rows that break the rule to `<dataset>_quarantine`, with a column `_quarantine` that says why."""
    return _expect({name: condition}, QUARANTINE)


def expect_all(conditions: Mapping[str, Condition]) -> Expect:
    """As `expect`, for several rules by name."""
    return _expect(conditions, WARN)


def expect_all_or_drop(conditions: Mapping[str, Condition]) -> Expect:
    """As `expect_or_drop`, for several rules by name."""
    return _expect(conditions, DROP)


def expect_all_or_fail(conditions: Mapping[str, Condition]) -> Expect:
    """As `expect_or_fail`, for several rules by name."""
    return _expect(conditions, FAIL)


def expect_all_or_quarantine(conditions: Mapping[str, Condition]) -> Expect:
    """As `expect_or_quarantine`, for several rules by name."""
    return _expect(conditions, QUARANTINE)


def expect_unique(
    name: str,
    keys: str | Sequence[str],
    *,
    on_violation: str = DROP,
    order_by: str | Column | Sequence[str | Column] = (),
    watermark: tuple[str, str] | None = None,
) -> Expect:
    """Rows that repeat a key break the rule; the first row of each key keeps it.

    In a materialized view the first is the first by `order_by`, and `on_violation` can be "drop", "quarantine", "fail"
    or "warn". A stream remembers the keys it has seen and drops rows that repeat one, which is all it can do;
    `watermark`, a time column and a delay, bounds for how long it remembers (`dropDuplicatesWithinWatermark`).
    """
    _check_name(name)
    names = [keys] if isinstance(keys, str) else list(keys)
    if not names:
        raise ValueError(f"The expectation '{name}' needs at least one key column.")
    if on_violation not in (WARN, DROP, QUARANTINE, FAIL):
        raise ValueError(
            f"The expectation '{name}' cannot do '{on_violation}' with a row: on_violation is one of warn, drop, "
            "quarantine and fail."
        )
    order = [order_by] if isinstance(order_by, str | Column) else list(order_by)
    rule = Unique(name, on_violation, tuple(names), tuple(order), watermark)
    return Expect((rule,), user_location())


def checked(frame: DataFrame, *rules: Expect, name: str = "checked") -> DataFrame:
    """The rows of `frame` that keep the rules, for a query outside of a pipeline.

    What was counted is the observed metric `riacho_expectations.<name>` of the query's progress. Raises ValueError for
    rules that quarantine rows: a single query has one target.
    """
    given = [rule for each in rules for rule in each.used().rules]
    if any(rule.on_violation == QUARANTINE for rule in given):
        raise ValueError("checked() cannot quarantine rows, as they would need a query of their own; drop them.")
    return plans.applied(frame, given, name)


def _expect(conditions: Mapping[str, Condition], on_violation: str) -> Expect:
    for name, condition in conditions.items():
        _check_name(name)
        if not isinstance(condition, str | Column):
            raise TypeError(
                f"The condition of the expectation '{name}' is SQL text or a Column, not {type(condition).__name__}."
            )
    rules = tuple(Rule(name, on_violation, condition) for name, condition in conditions.items())
    return Expect(rules, user_location())


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError(f"An expectation has a name, which is text: {name!r}")


@dataclass(eq=False)
class Expect:
    """Rules that are about to decorate a query function."""

    rules: tuple[Rule | Unique, ...]
    written_at: SourceCodeLocation
    taken_by: Registered | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        _PENDING.append(self)

    def used(self) -> Expect:
        """The same; no decorator below waits for it any more."""
        if self in _PENDING:
            _PENDING.remove(self)
        return self

    def __call__(self, function: Decorated) -> Decorated:
        """`function` with these rules. Raises TypeError for what is no query function, ValueError for a name twice."""
        if isinstance(function, Registered):
            if self.taken_by is not function:
                raise TypeError(
                    f"The expectation '{self.rules[0].name}' comes too late for {function.name}: write it out above "
                    "its function, or below the decorator that defines the dataset."
                )
            return function
        self.used()
        if function is None:
            raise TypeError(
                f"The expectation '{self.rules[0].name}' stands above a decorator of pyspark.pipelines, which has "
                "defined its dataset already: put it below, or use the decorator of riacho.pipelines."
            )
        return with_rules(cast(QueryFunction, function), self.rules)  # type: ignore[return-value]


_PENDING: Final[deque[Expect]] = deque(maxlen=10_000)
"""Rules that decorate nothing yet: decorators are made from the top down, and applied from the bottom up."""


@dataclass(frozen=True, eq=False)
class Registered:
    """What is left of a query function when its dataset is defined; decorators above it may look at it."""

    name: str


class Checked:
    """A query function with rules, called when its flow is defined."""

    __name__: str

    def __init__(self, function: QueryFunction, rules: tuple[Rule | Unique, ...]) -> None:
        update_wrapper(self, function)
        self.function = function
        self.rules = rules

    def __call__(self) -> DataFrame:
        return plans.of_flow(self.function(), self.rules, plans.flow_being_defined(self))


def with_rules(function: QueryFunction, rules: tuple[Rule | Unique, ...]) -> QueryFunction:
    """`function` with these rules before those that it has. Raises TypeError, ValueError for a name twice."""
    if not callable(function):
        raise TypeError(f"Expectations decorate the query function of a dataset, not {type(function).__name__}.")
    if not rules:
        return function
    below = function if isinstance(function, Checked) else Checked(function, ())
    together = (*rules, *below.rules)
    names = [rule.name for rule in together]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{below.__name__} has two expectations '{twice}': their names must differ.")
    return Checked(below.function, together)


def rules_above(function: QueryFunction) -> list[Expect]:
    """The rules written above a query function that no decorator has applied yet, from the top down."""
    code = getattr(unwrap(function), "__code__", None)
    if code is None:
        return []
    # The first line of a decorated function is that of its first decorator.
    first = code.co_firstlineno
    places = ((each, each.written_at) for each in _PENDING)
    return [each for each, at in places if at.filename == code.co_filename and (at.line_number or 0) >= first]
