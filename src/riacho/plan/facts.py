"""What a plan is, read off its tree: is it streaming, which sources, which tables, which stateful operators.

All functions take relations as a client sends them. References to temporary views and SQL text hide what they read:
apply the rules `inline_views` and `sql_streams` first where that matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from google.protobuf.message import Message

from riacho.plan.walk import children, expressions, walk
from riacho.protos import pb

Kind = Literal["stateless", "aggregate", "distinct", "deduplicate", "join", "limit", "group_state"]
"""What a relation keeps between batches when its input is a stream; "stateless" if nothing."""


@dataclass(frozen=True)
class Leaf:
    """A streaming source of a plan.

    `index`: its position in Spark's order of sources, which names its folder in the checkpoint. `relation`: the `Read`
    or `RelationChanges` relation. `places`: how often it stands in the plan (a stream joined with itself: 2).
    """

    index: int
    relation: pb.Relation
    places: int = 1


@dataclass(frozen=True)
class TableRead:
    """A table or view that a plan reads by name, as the client wrote the name."""

    name: str
    streaming: bool


def is_streaming_leaf(relation: pb.Relation) -> bool:
    """Whether this very node is a streaming read."""
    match relation.WhichOneof("rel_type"):
        case "read":
            return bool(relation.read.is_streaming)
        case "relation_changes":
            return bool(relation.relation_changes.is_streaming)
        case _:
            return False


def is_streaming(message: Message) -> bool:
    """Whether a relation (or a relation below a command) has a streaming source."""
    if isinstance(message, pb.Relation):
        return any(is_streaming_leaf(node) for node in walk(message))
    return any(is_streaming(child) for child in children(message))


def leaf_identity(relation: pb.Relation) -> bytes:
    """Equal for two streaming reads exactly if they are one source: the same DataFrame used twice.

    Two reads of the same path by two `load()` calls differ in `plan_id` and are two sources.
    """
    return bytes(relation.SerializeToString(deterministic=True))


def leaves(relation: pb.Relation) -> list[Leaf]:
    """The streaming sources, in Spark's order; one that stands at several places is listed once, at its first."""
    found: dict[bytes, Leaf] = {}
    for node in walk(relation):
        if is_streaming_leaf(node):
            key = leaf_identity(node)
            known = found.get(key)
            found[key] = replace(known, places=known.places + 1) if known else Leaf(len(found), node)
    return list(found.values())


def names(relation: pb.Relation) -> list[TableRead]:
    """The tables and views read by name, in plan order, each (name, streaming) once. Not those inside SQL text."""
    found: dict[TableRead, None] = {}
    for node in walk(relation):
        kind = node.WhichOneof("rel_type")
        if kind == "read" and node.read.HasField("named_table"):
            found[TableRead(node.read.named_table.unparsed_identifier, node.read.is_streaming)] = None
        elif kind == "relation_changes":
            changes = node.relation_changes
            found[TableRead(changes.unparsed_identifier, changes.is_streaming)] = None
    return list(found)


def cached_ids(message: Message) -> list[str]:
    """The ids of the `CachedRemoteRelation`s below: DataFrames that only the server knows, such as foreachBatch's."""
    below = [message] if isinstance(message, pb.Relation) else list(children(message))
    return [
        node.cached_remote_relation.relation_id
        for relation in below
        for node in walk(relation)
        if node.WhichOneof("rel_type") == "cached_remote_relation"
    ]


FILE_FUNCTIONS = frozenset({"input_file_name", "input_file_block_start", "input_file_block_length"})
"""SQL functions that tell which file a row came from."""

_FILE_WORDS = (b"_metadata", b"input_file_")


def uses_metadata(relation: pb.Relation) -> bool:
    """Whether the plan asks for the file that rows come from: `_metadata`, or one of `FILE_FUNCTIONS`."""
    if not any(word in relation.SerializeToString().lower() for word in _FILE_WORDS):
        return False  # nearly every plan; the look into each expression is a hundred times slower
    return any(_mentions_file(expression) for node in walk(relation) for expression in expressions(node)) or any(
        any(word in node.sql.query.lower().encode() for word in _FILE_WORDS)
        for node in walk(relation)
        if node.WhichOneof("rel_type") == "sql"
    )


def _mentions_file(expression: pb.Expression) -> bool:
    match expression.WhichOneof("expr_type"):
        case "unresolved_attribute":
            parts = expression.unresolved_attribute.unparsed_identifier.lower().replace("`", "").split(".")
            return "_metadata" in parts
        case "unresolved_function":
            return expression.unresolved_function.function_name.lower() in FILE_FUNCTIONS
        case "call_function":
            return expression.call_function.function_name.lower() in FILE_FUNCTIONS
        case "expression_string":
            text = expression.expression_string.expression.lower()
            return any(word.decode() in text for word in _FILE_WORDS)
        case _:
            return False


def kind_of(relation: pb.Relation) -> Kind:
    """What this very node keeps between batches, given that its input is a stream."""
    match relation.WhichOneof("rel_type"):
        case "aggregate":
            return "aggregate"
        case "deduplicate":
            return "deduplicate"
        case "join":
            both = is_streaming(relation.join.left) and is_streaming(relation.join.right)
            return "join" if both else "stateless"
        case "set_op":
            # Spark plans UNION DISTINCT as an aggregate over all columns.
            union = relation.set_op.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION
            return "distinct" if union and not relation.set_op.is_all else "stateless"
        case "limit":
            return "limit"
        case "apply_in_pandas_with_state":
            return "group_state"
        case "group_map":
            group_map = relation.group_map
            stateful = group_map.HasField("transform_with_state_info") or group_map.HasField("is_map_groups_with_state")
            return "group_state" if stateful else "stateless"
        case _:
            return "stateless"


def stateful(relation: pb.Relation) -> Iterator[tuple[Kind, pb.Relation]]:
    """The stateful operators over streaming input, uppermost first."""
    for node in walk(relation):
        kind = kind_of(node)
        if kind != "stateless" and is_streaming(node):
            yield kind, node


def kind(relation: pb.Relation) -> Kind | Literal["chain"]:
    """What the plan keeps between batches: "stateless", one stateful operator's kind, or "chain" for several."""
    found = [kind for kind, _ in stateful(relation)]
    return "stateless" if not found else found[0] if len(found) == 1 else "chain"
