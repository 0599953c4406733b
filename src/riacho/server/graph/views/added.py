"""The rows that a query has more, of the rows that its inputs have more.

    (σ, π) of R + ΔR        the same of ΔR
    R ∪ S                   ΔR and ΔS
    R ⋈ S                   ΔR ⋈ S afterwards, and R before ⋈ ΔS; outer and semi joins: if only the kept side has more

Everything else may change rows that are there already: grouping, sorting, windows over rows. What comes out is a plan
over the inputs of `plan`, in which an input of another number stands for its new rows, or its old ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from riacho.protos import pb
from riacho.server.graph.views.plan import NotFromChangesError, input_name, input_of
from riacho.server.plan import build
from riacho.server.plan.rowwise import looks_around
from riacho.server.plan.walk import children, expressions, transform, walk

ROW_BY_ROW = frozenset(
    {"project", "filter", "with_columns", "with_columns_renamed", "drop", "to_df", "to_schema", "subquery_alias",
     "hint", "drop_na", "fill_na", "replace", "unpivot", "repartition"}
)  # fmt: skip
"""Relations with one input that make of each of its rows what they make of it alone."""
_JOIN = pb.Join
_LEFT = frozenset(
    {_JOIN.JOIN_TYPE_INNER, _JOIN.JOIN_TYPE_CROSS, _JOIN.JOIN_TYPE_LEFT_OUTER, _JOIN.JOIN_TYPE_LEFT_SEMI,
     _JOIN.JOIN_TYPE_LEFT_ANTI}
)  # fmt: skip
"""Joins to which more rows on the left only add rows."""
_RIGHT = frozenset({_JOIN.JOIN_TYPE_INNER, _JOIN.JOIN_TYPE_CROSS, _JOIN.JOIN_TYPE_RIGHT_OUTER})


class InputState(Enum):
    """What became of an input since the view was refreshed."""

    SAME = auto()
    ADDED = auto()
    """It has more rows; those that it had are there."""
    OTHER = auto()


@dataclass(frozen=True)
class InputNumbers:
    """The numbers under which the new rows and the old ones of `inputs` inputs stand."""

    inputs: int

    def added(self, number: int) -> int:
        return self.inputs + number

    def before(self, number: int) -> int:
        return 2 * self.inputs + number


def has_more(relation: pb.Relation, states: Mapping[int, InputState]) -> bool:
    """Whether anything below `relation` has changed."""
    return any(
        states[number] is not InputState.SAME for node in walk(relation) if (number := input_of(node)) is not None
    )


def added_rows(relation: pb.Relation, states: Mapping[int, InputState], numbers: InputNumbers) -> list[pb.Relation]:
    """Plans whose rows together are those that `relation` has more. None of them if nothing has changed.

    Raises NotFromChangesError if rows that were there may have changed.
    """
    return list(_Added(states, numbers).rows(relation))


class _Added:
    def __init__(self, states: Mapping[int, InputState], numbers: InputNumbers) -> None:
        self._states = states
        self._numbers = numbers

    def rows(self, node: pb.Relation) -> Iterator[pb.Relation]:
        if not has_more(node, self._states):
            return
        kind = node.WhichOneof("rel_type") or ""
        number = input_of(node)
        if number is not None:
            yield self._leaf(node, number)
        elif kind in ROW_BY_ROW:
            if any(map(looks_around, expressions(node))):
                raise NotFromChangesError(f"{kind.upper()} looks at several rows of what has changed")
            [below] = children(node)
            for more in self.rows(below):
                yield _with(node, {"input": more})
        elif kind == "set_op":
            yield from self._set_op(node)
        elif kind == "join":
            yield from self._join(node)
        else:
            what = "SQL text that is not taken apart" if kind in ("sql", "with_relations") else kind.upper()
            raise NotFromChangesError(f"what has changed is below {what}")

    def _leaf(self, node: pb.Relation, number: int) -> pb.Relation:
        if self._states[number] is InputState.OTHER:
            raise NotFromChangesError("rows of what it reads have changed")
        copy = pb.Relation()
        copy.CopyFrom(node)
        copy.read.named_table.unparsed_identifier = input_name(self._numbers.added(number))
        return copy

    def _set_op(self, node: pb.Relation) -> Iterator[pb.Relation]:
        operation = node.set_op
        if operation.set_op_type != pb.SetOperation.SET_OP_TYPE_UNION or not operation.is_all:
            raise NotFromChangesError("what has changed is below a set operation that removes rows")
        # The other side stays, without rows: the columns of a union are made of those of both.
        for more in self.rows(operation.left_input):
            yield _with(node, {"left_input": more, "right_input": _none_of(operation.right_input)})
        for more in self.rows(operation.right_input):
            yield _with(node, {"left_input": _none_of(operation.left_input), "right_input": more})

    def _join(self, node: pb.Relation) -> Iterator[pb.Relation]:
        join = node.join
        left, right = has_more(join.left, self._states), has_more(join.right, self._states)
        if (left and join.join_type not in _LEFT) or (right and join.join_type not in _RIGHT):
            raise NotFromChangesError("a side of an outer, semi or anti join has changed that decides about other rows")
        for more in self.rows(join.left):
            yield _with(node, {"left": more})
        for more in self.rows(join.right):
            yield _with(node, {"left": self._before(join.left), "right": more})

    def _before(self, relation: pb.Relation) -> pb.Relation:
        """`relation` as it was when the view was refreshed."""

        def older(node: pb.Relation) -> pb.Relation:
            number = input_of(node)
            if number is not None and self._states[number] is not InputState.SAME:
                node.read.named_table.unparsed_identifier = input_name(self._numbers.before(number))
            return node

        return transform(relation, older)


def _with(node: pb.Relation, inputs: Mapping[str, pb.Relation]) -> pb.Relation:
    """A copy of a node with other relations below."""
    copy = pb.Relation()
    copy.CopyFrom(node)
    message = getattr(copy, node.WhichOneof("rel_type") or "")
    for name, relation in inputs.items():
        getattr(message, name).CopyFrom(relation)
    return copy


def _none_of(relation: pb.Relation) -> pb.Relation:
    """The columns of `relation`, and no row."""
    return build.where(relation, build.boolean(False))
