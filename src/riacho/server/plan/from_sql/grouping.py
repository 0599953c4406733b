"""GROUP BY, HAVING and aggregates in a SELECT list → an aggregate and a projection over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from riacho.identifiers import column_parts, last_part
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import expressions
from riacho.server.sql.tokens import Token, tokenize
from riacho.server.sql.words import words

AGGREGATES = words(
    "any any_value approx_count_distinct approx_percentile approx_top_k array_agg avg bit_and bit_or bit_xor "
    "bitmap_construct_agg bitmap_or_agg bool_and bool_or collect_list collect_set corr count count_if count_min_sketch "
    "covar_pop covar_samp every first first_value grouping grouping_id histogram_numeric hll_sketch_agg hll_union_agg "
    "kurtosis last last_value listagg max max_by mean median min min_by mode percentile percentile_approx "
    "percentile_cont percentile_disc product regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx "
    "regr_sxy regr_syy skewness some std stddev stddev_pop stddev_samp string_agg sum try_avg try_sum var_pop var_samp "
    "variance"
)
"""Spark's aggregate functions, in lower case; `product` is known to the DataFrame API alone."""

_BY_PLACE = (pb.Aggregate.GROUP_TYPE_ROLLUP, pb.Aggregate.GROUP_TYPE_CUBE)
"""Kinds of grouping in which a key that is named twice counts twice."""

_WINDOWS = ("window", "session_window")
_HAVING = "__riacho_having"


def has_aggregate(tokens: Sequence[Token]) -> bool:
    """Whether the tokens call an aggregate function."""
    return any(token.text.lower() in AGGREGATES and behind.is_symbol("(") for token, behind in pairwise(tokens))


class UngroupedColumnError(Exception):
    """A column that cannot be had above the aggregate; the message says which."""


@dataclass(frozen=True)
class SelectColumn:
    """An item of a SELECT list: its text and expression, without the alias."""

    text: str
    expression: pb.Expression
    alias: str | None
    aggregates: bool = False
    is_star: bool = False

    @property
    def name(self) -> str:
        """The name of the column in the result."""
        if self.alias is not None:
            return self.alias
        if self.expression.HasField("unresolved_attribute"):
            return column_parts(self.expression.unresolved_attribute.unparsed_identifier)[-1]
        return column_name(self.expression)

    def projected(self) -> pb.Expression:
        """The column as an expression of a projection."""
        if self.is_star:
            star = pb.Expression.UnresolvedStar()
            if self.text != "*":
                star.unparsed_target = self.text
            return pb.Expression(unresolved_star=star)
        return self.expression if self.alias is None else build.alias(self.expression, self.alias)


@dataclass(frozen=True)
class _GroupingKey:
    """A grouping expression, its text in comparable form, and its name in the output of the aggregate."""

    expression: pb.Expression
    text: str
    name: str


class AggregationClauses:
    """Put together an aggregation from the clauses of a query."""

    def __init__(self, columns: Sequence[SelectColumn]) -> None:
        self.columns = columns
        self.group_type: pb.Aggregate.GroupType.ValueType = pb.Aggregate.GROUP_TYPE_GROUPBY
        self.sets: list[list[int]] = []
        """The grouping sets, if it has any: of each the numbers of its keys."""
        self._keys: list[_GroupingKey] = []
        self._aggregates: list[pb.Expression] = []
        self._filter_groups = False
        self._filter_result: pb.Expression | None = None

    def add_key(self, text: str, expression: pb.Expression) -> int:
        """A GROUP BY item: an expression, the number of a column, or a column's alias. The number of the key.

        Raises UngroupedColumnError.
        """
        named = next((c for c in self.columns if c.alias and c.alias.lower() == text.strip("`").lower()), None)
        if text.isdigit():
            if not 0 < int(text) <= len(self.columns):
                raise UngroupedColumnError(f"GROUP BY position {text}, which is not in the select list")
            column = self.columns[int(text) - 1]
            text, expression = column.text, column.expression
        elif named is not None:
            text, expression = named.text, named.expression
        known = next((number for number, key in enumerate(self._keys) if key.text == _comparable(text)), None)
        if known is not None and self.group_type not in _BY_PLACE:
            return known
        function = expression.unresolved_function.function_name.lower()
        if expression.HasField("unresolved_attribute"):
            name = column_parts(expression.unresolved_attribute.unparsed_identifier)[-1]
        elif function in _WINDOWS:
            name = function
        else:
            name = f"__riacho_key_{len(self._keys)}"
            expression = build.alias(expression, name)
        self._keys.append(_GroupingKey(expression, _comparable(text), name))
        return len(self._keys) - 1

    def having(self, text: str, condition: pb.Expression, aggregates: bool) -> None:
        """The HAVING condition: over aggregates it is one more of them, else it is a filter on the result.

        Raises UngroupedColumnError.
        """
        if aggregates:
            aliases = {column.alias.lower() for column in self.columns if column.alias and column.aggregates}
            if any((token.name or "").lower() in aliases for token in tokenize(text)):
                raise UngroupedColumnError(f"an alias combined with an aggregate in HAVING {text}")
            self._aggregates.append(build.alias(condition, _HAVING))
            self._filter_groups = True
        else:
            self._filter_result = condition

    def relation(self, rows: pb.Relation) -> pb.Relation:
        """The aggregation of `rows`. Raises UngroupedColumnError."""
        projected = [build.alias(self._output(column), column.name) for column in self.columns]
        keys = [key.expression for key in self._keys]
        grouped = build.group(rows, keys, self._aggregates)
        grouped.aggregate.group_type = self.group_type
        for numbers in self.sets:
            grouped.aggregate.grouping_sets.add(grouping_set=[keys[number] for number in numbers])
        if self._filter_groups:
            grouped = build.where(grouped, build.col(_HAVING))
        result = build.project(grouped, projected)
        return build.where(result, self._filter_result) if self._filter_result is not None else result

    def _output(self, column: SelectColumn) -> pb.Expression:
        """The expression that gives `column` above the aggregate."""
        if column.aggregates:
            name = f"__riacho_aggregate_{len(self._aggregates)}"
            self._aggregates.append(build.alias(column.expression, name))
            return build.col(name)
        for key in self._keys:
            if key.text == _comparable(column.text):
                return build.col(key.name)
        return self._over_keys(column.expression)

    def _over_keys(self, expression: pb.Expression) -> pb.Expression:
        """An expression over key columns, such as `window.start` or `upper(k)`, by their names above the aggregate."""
        names = {key.name.lower() for key in self._keys}
        over = self._with_keys(expression)
        for node in [over, *expressions(over)]:
            if not node.HasField("unresolved_attribute"):
                continue
            attribute = node.unresolved_attribute
            parts = [part.lower() for part in column_parts(attribute.unparsed_identifier)]
            if parts[0] in names:
                continue
            if parts[-1] not in names:
                name = attribute.unparsed_identifier
                raise UngroupedColumnError(f"the column {name}, which is neither a key nor an aggregate")
            attribute.unparsed_identifier = build.col(
                last_part(attribute.unparsed_identifier)
            ).unresolved_attribute.unparsed_identifier
        return over

    def _with_keys(self, expression: pb.Expression) -> pb.Expression:
        """A copy with the columns of keys in place of what they are computed from: `window(ts, '1 hour').start`."""
        over = pb.Expression()
        over.CopyFrom(expression)
        computed = {_plain(key): build.col(key.name) for key in self._keys}
        for node in [over, *expressions(over)]:
            column = computed.get(node.SerializeToString(deterministic=True))
            if column is not None and not node.HasField("unresolved_attribute"):
                node.CopyFrom(column)
        return over


def _plain(key: _GroupingKey) -> bytes:
    expression = key.expression.alias.expr if key.expression.HasField("alias") else key.expression
    return expression.SerializeToString(deterministic=True)


def _comparable(text: str) -> str:
    """An expression's text such that two that mean the same are equal, but for their blanks and the case of words."""
    return " ".join(token.text.lower() if token.kind == "word" else token.text for token in tokenize(text))
