"""A view's query over numbered inputs: what it reads is found, and may be put in place of it in several ways.

    the query                              over inputs
    SQL "SELECT … FROM shop.orders"        Project …
                                             SubqueryAlias orders
                                               Read __riacho_input_0

`ViewQuery.relation` is the query as its author wrote it; `ViewQuery.operators` has SQL text as relations where that is
possible, so that it can be seen what becomes of each row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from riacho.protos import pb
from riacho.server.graph import reads
from riacho.server.graph.names import Identifier
from riacho.server.graph.reads import Read
from riacho.server.graph.views import deterministic
from riacho.server.plan.from_sql.query import read_query
from riacho.server.plan.walk import transform, walk
from riacho.server.sql.pieces import UnknownSqlError

_INPUT = "__riacho_input_"


class NotFromChangesError(Exception):
    """A view cannot be kept up to date from changes; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class ViewQuery:
    """See the module. `inputs`: the tables, by number. `by_order`: its rows may depend on the order of theirs."""

    relation: pb.Relation
    operators: pb.Relation
    inputs: tuple[Identifier, ...]
    by_order: bool

    @property
    def definition(self) -> str:
        """A text that is equal for equal queries: whoever numbered the nodes of their plans, and from wherever."""
        return hashlib.sha256(_bare(self.relation).SerializeToString(deterministic=True)).hexdigest()


def input_name(number: int) -> str:
    """What input `number` is called in the plan."""
    return f"{_INPUT}{number}"


def input_of(node: pb.Relation) -> int | None:
    """The number of the input that this very node reads; None for any other node."""
    if node.WhichOneof("rel_type") != "read":
        return None
    name = node.read.named_table.unparsed_identifier
    return int(name.removeprefix(_INPUT)) if name.startswith(_INPUT) else None


def plan_of(
    relation: pb.Relation, own_functions: Collection[str], columns: Callable[[Identifier], Collection[str]]
) -> ViewQuery:
    """The plan of a view's query as it runs: its names are those of the catalog.

    `own_functions`: those that the session registered, in lower case. `columns`: of a table, and raises
    NotFromChangesError for what is no Delta table. Raises NotFromChangesError if other runs of it may give other rows.
    """
    inputs: dict[Identifier, int] = {}
    known: set[str] = set()

    def choose(read: Read) -> pb.Relation | Identifier:
        if read.streaming or read.options:
            raise NotFromChangesError(f"it reads {read.name} in a way of its own")
        if read.name not in inputs:
            known.update(columns(read.name))
            inputs[read.name] = len(inputs)
        leaf = pb.Read.NamedTable(unparsed_identifier=input_name(inputs[read.name]))
        return reads.aliased(pb.Relation(read=pb.Read(named_table=leaf)), read.name)

    numbered = reads.substitute(relation, choose)
    for node in walk(numbered):
        if node.WhichOneof("rel_type") == "with_relations" and node.with_relations.root.HasField("sql"):
            beside = {each.subquery_alias.alias.lower() for each in node.with_relations.references}
            others = deterministic.other_tables(node.with_relations.root.sql.query, beside)
            if others:
                raise NotFromChangesError(f"it reads {others[0]}, which is no table of the catalog")
        if node.WhichOneof("rel_type") == "read" and input_of(node) is None and node.read.HasField("named_table"):
            raise NotFromChangesError(f"it reads {node.read.named_table.unparsed_identifier}")
    why = deterministic.why_not(numbered, own_functions, known)
    if why is not None:
        raise NotFromChangesError(why)
    by_order = deterministic.order_matters(numbered)
    return ViewQuery(numbered, transform(numbered, _as_operators), tuple(inputs), by_order)


def bind(relation: pb.Relation, inputs: Mapping[int, pb.Relation]) -> pb.Relation:
    """`relation`, a plan over numbered inputs, with a relation in place of each."""

    def put(node: pb.Relation) -> pb.Relation:
        number = input_of(node)
        if number is None:
            return node
        bound = pb.Relation()
        bound.CopyFrom(inputs[number])
        if node.HasField("common"):
            bound.common.CopyFrom(node.common)
        return bound

    return transform(relation, put)


def _as_operators(node: pb.Relation) -> pb.Relation:
    """SQL text with relations beside it as the relations that it means, if that is known."""
    if node.WhichOneof("rel_type") != "with_relations" or not node.with_relations.root.HasField("sql"):
        return node
    text = node.with_relations.root.sql
    if text.pos_arguments or text.named_arguments or text.pos_args or text.args:
        return node
    beside = {each.subquery_alias.alias: each.subquery_alias.input for each in node.with_relations.references}
    try:
        read = read_query(text.query, beside)
    except UnknownSqlError:
        return node
    common = node.common if node.common.HasField("plan_id") else node.with_relations.root.common
    if common.HasField("plan_id"):
        read.common.CopyFrom(common)
    return read


def _bare(relation: pb.Relation) -> pb.Relation:
    """A copy with nodes numbered in the order in which they stand, and without the places they come from."""
    copy = pb.Relation()
    copy.CopyFrom(relation)
    numbers: dict[int, int] = {}
    _renumber(copy, numbers)
    return copy


def _renumber(message: Message, numbers: dict[int, int]) -> None:
    for field, value in message.ListFields():
        if field.name == "plan_id":
            message.plan_id = numbers.setdefault(value, len(numbers))  # type: ignore[attr-defined]
        elif field.name in ("origin", "source_info"):
            message.ClearField(field.name)
        elif field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        elif field.is_repeated:
            for item in value:
                _renumber(item, numbers)
        else:
            _renumber(value, numbers)
