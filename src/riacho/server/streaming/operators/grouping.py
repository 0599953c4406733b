"""The key of a streaming aggregation: its columns, and for `rollup`, `cube` and `GROUPING SETS` which of them count.

Each grouping set is an aggregation of its own over the same rows. Its groups have null in the keys that are not in
the set, and the set's number, as `grouping_id()` gives it, as one key more: a bit per key, the first key's the
highest, that is 1 if the key is left out. So they live together in one store, as in Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import pyarrow as pa

from riacho import types
from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.build import Expression
from riacho.server.plan.column_names import output_name
from riacho.server.plan.event_time import Delays
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.plan.walk import expressions
from riacho.server.streaming.operators.operator import OperatorTools

Make = Callable[[pb.Relation, Sequence[Expression]], pb.Relation]
"""make(input, keys): a relation over the input of an aggregation that has these keys before other columns."""

_SET = "_grouping_set"


@dataclass(frozen=True)
class Grouping:
    """The key of an aggregation.

    `kinds`: the types of its columns. `event_key`: which of them has event time. `sets`: the positions of the keys in
    each grouping set; empty if there are none.
    """

    expressions: Sequence[Expression]
    kinds: Sequence[pa.DataType]
    event_key: int | None
    sets: Sequence[Sequence[int]] = field(default=())

    @property
    def event_time(self) -> Expression:
        """The key with event time, under its name in state."""
        assert self.event_key is not None
        return self._aliased()[self.event_key]

    @property
    def columns(self) -> list[str]:
        """The key columns in state."""
        names = [f"_key{i}" for i in range(len(self.expressions))]
        return [*names, _SET] if self.sets else names

    def collect(self, relation: pb.Relation, make: Make, tools: OperatorTools, time: BatchTime) -> pa.Table:
        """The rows of `make` over `relation`, the keys under their names in state."""
        if not self.sets:
            return tools.collect(make(relation, self._aliased()), time)
        rows = self._in_windows(relation)
        tables = [self._with_all_keys(tools.collect(make(rows, self._aliased(keys)), time), keys) for keys in self.sets]
        return pa.concat_tables(tables).combine_chunks()

    def schema(self, relation: pb.Relation, make: Make, tools: OperatorTools) -> pa.Schema:
        """The columns of what `collect` gives."""
        keys = self.sets[0] if self.sets else None
        made = make(relation if keys is None else self._in_windows(relation), self._aliased(keys))
        schema = types.normalise_schema(tools.session.schema(made))
        return schema if keys is None else self._with_all_keys(schema.empty_table(), keys).schema

    def _in_windows(self, relation: pb.Relation) -> pb.Relation:
        """The rows once for each window they are in, which is for grouping sets without the window as well."""
        windows = [build.alias(key, _window(i)).alias for i, key in enumerate(self.expressions) if _is_window(key)]
        return pb.Relation(with_columns=pb.WithColumns(input=relation, aliases=windows)) if windows else relation

    def renamed(self, output: pa.Schema) -> list[Expression]:
        """The key columns under their names in the output."""
        pairs = zip(self.columns, output.names[: len(self.expressions)], strict=False)
        return [build.alias(build.col(column), name) for column, name in pairs]

    def is_left_out(self, key: Expression) -> Expression | None:
        """`grouping(key)`; None if it is no key of a grouping set."""
        plain = [_plain(expression) for expression in self.expressions]
        if not self.sets or _plain(key) not in plain:
            return None
        behind = len(plain) - 1 - plain.index(_plain(key))
        shifted = build.call("div", build.col(_SET), build.integer(1 << behind))
        return build.cast(build.call("%", shifted, build.integer(2)), pa.int8())

    @property
    def set_number(self) -> Expression | None:
        """`grouping_id()`; None if there are no grouping sets."""
        return build.col(_SET) if self.sets else None

    def _aliased(self, keys: Sequence[int] | None = None) -> list[Expression]:
        if keys is None:
            return [build.alias(key, f"_key{i}") for i, key in enumerate(self.expressions)]
        columns = [build.col(_window(i)) if _is_window(self.expressions[i]) else self.expressions[i] for i in keys]
        found = [build.alias(column, f"_key{i}") for i, column in zip(keys, columns, strict=True)]
        # As a key, not as a constant: without keys there would be a group where there are no rows.
        return [*found, build.alias(build.integer(self._number(keys)), _SET)]

    def _number(self, keys: Sequence[int]) -> int:
        last = len(self.expressions) - 1
        return sum(1 << (last - i) for i in range(last + 1) if i not in keys)

    def _with_all_keys(self, table: pa.Table, keys: Sequence[int]) -> pa.Table:
        for i, kind in enumerate(self.kinds):
            if i not in keys:
                table = table.append_column(pa.field(f"_key{i}", kind), pa.nulls(table.num_rows, kind))
        rest = [name for name in table.column_names if name not in self.columns]
        return table.select([*self.columns, *rest])


def grouping_of(aggregate: pb.Aggregate, output: pa.Schema, marks: Delays) -> Grouping:
    """The key of an aggregate. `marks`: the marked columns of the aggregate's output.

    Raises UnsupportedOperationError for a kind of grouping that riacho does not run.
    """
    keys = list(aggregate.grouping_expressions)
    marked = [i for i, expression in enumerate(keys) if output_name(expression) in marks]
    sets = _sets(aggregate)
    return Grouping(keys, output.types[: len(keys)], marked[0] if marked else None, sets)


def _sets(aggregate: pb.Aggregate) -> list[tuple[int, ...]]:
    positions = range(len(aggregate.grouping_expressions))
    match aggregate.group_type:
        case pb.Aggregate.GROUP_TYPE_ROLLUP:
            return [tuple(positions[:count]) for count in range(len(positions), -1, -1)]
        case pb.Aggregate.GROUP_TYPE_CUBE:
            return [keys for count in range(len(positions), -1, -1) for keys in combinations(positions, count)]
        case pb.Aggregate.GROUP_TYPE_GROUPING_SETS:
            plain = [_plain(expression) for expression in aggregate.grouping_expressions]
            sets = [[plain.index(_plain(key)) for key in each.grouping_set] for each in aggregate.grouping_sets]
            found = [tuple(sorted(keys)) for keys in sets]
            if len(set(found)) < len(found):
                raise UnsupportedOperationError("riacho does not support duplicate grouping sets on streams.")
            return found
        case pb.Aggregate.GROUP_TYPE_PIVOT:
            raise UnsupportedOperationError(
                "riacho does not support a streaming pivot. Aggregate a condition for each value instead, such as "
                "sum(when(col(pivot) == value, x))."
            )
        case _:
            return []


def _window(key: int) -> str:
    """The column with the windows of a key, ahead of grouping."""
    return f"_window{key}"


def _is_window(key: Expression) -> bool:
    inner = key.alias.expr if key.HasField("alias") else key
    return inner.unresolved_function.function_name.lower() == "window"


def _plain(expression: Expression) -> bytes:
    """An expression without its name and without the DataFrames of its columns, to be compared with others."""
    copy = Expression()
    copy.CopyFrom(expression.alias.expr if expression.HasField("alias") else expression)
    for node in [copy, *expressions(copy)]:
        if node.HasField("unresolved_attribute"):
            node.unresolved_attribute.ClearField("plan_id")
    copy.ClearField("common")
    return copy.SerializeToString(deterministic=True)
