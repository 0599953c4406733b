"""What a plan is, read off its tree: is it streaming, which sources, which tables, which stateful operators.

All functions take relations as a client sends them. References to temporary views and SQL text hide what they read:
apply the rules `inline_views` and `sql_streams` first where that matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from google.protobuf.message import Message

from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.plan.walk import Path, children, walk, walk_paths
from riacho.server.sql.tokens import tokenize

Kind = Literal["stateless", "aggregate", "distinct", "deduplicate", "join", "limit", "group_state"]
"""What a relation keeps between batches when its input is a stream; "stateless" if nothing."""


@dataclass(frozen=True)
class Leaf:
    """A streaming source of a plan.

    `index`: its position in Spark's order of sources, which names its folder in the checkpoint. `relation`: the `Read`
    or `RelationChanges` relation. `places`: how often it stands in the plan (a union with itself: 2); Spark counts
    its rows that many times. `with_metadata`: the plan wants its `_metadata` column (known once rules were applied).
    """

    index: int
    relation: pb.Relation
    places: int = 1
    with_metadata: bool = False


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
    """Equal for two streaming reads exactly if they come from the same DataFrame.

    Two reads of the same path by two `load()` calls differ in `plan_id`.
    """
    return bytes(relation.SerializeToString(deterministic=True))


def leaf_places(relation: pb.Relation) -> Iterator[tuple[Path, Leaf]]:
    """Every place of a streaming leaf, in Spark's order, with the source that stands there (its `places` is 1).

    A DataFrame that stands at several places is one source, for instance in a union with itself. But a join gives its
    right side columns of its own (`DeduplicateRelations`), so one that is joined with itself is two sources.
    """
    sources: dict[tuple[bytes, int], int] = {}
    joins: list[Path] = []
    seen: dict[bytes, list[tuple[Path, int]]] = {}
    for path, node in walk_paths(relation):
        kind = node.WhichOneof("rel_type") or ""
        if kind in _JOINS:
            joins.append((*path, kind))
        if not is_streaming_leaf(node):
            continue
        earlier = seen.setdefault(leaf_identity(node), [])
        instance = 0
        for join in joins:
            if _starts(path, (*join, "right")):
                instance += len({known for place, known in earlier if _starts(place, (*join, "left"))})
        earlier.append((path, instance))
        index = sources.setdefault((leaf_identity(node), instance), len(sources))
        yield path, Leaf(index, node)


def _starts(path: Path, prefix: Path) -> bool:
    return path[: len(prefix)] == prefix


_JOINS = frozenset({"join", "as_of_join", "lateral_join", "nearest_by_join"})


def leaves(relation: pb.Relation) -> list[Leaf]:
    """The streaming sources, in Spark's order, each once."""
    found: list[Leaf] = []
    for _, leaf in leaf_places(relation):
        if leaf.index == len(found):
            found.append(leaf)
        else:
            found[leaf.index] = replace(found[leaf.index], places=found[leaf.index].places + 1)
    return found


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

METADATA = "_metadata"
"""The hidden struct column that tells the same and more."""

_FILE_WORDS = (b"_metadata", b"input_file_")


def uses_metadata(relation: pb.Relation) -> bool:
    """Whether the plan may ask for the file that rows come from: `_metadata`, or one of `FILE_FUNCTIONS`.

    A cheap look at the words, wherever they stand; nearly every plan has none of them.
    """
    text = relation.SerializeToString().lower()
    return any(word in text for word in _FILE_WORDS)


def mentions_metadata(expression: pb.Expression) -> bool:
    """Whether this very expression (not those inside it) names the column `_metadata`, or may do so in its text."""
    match expression.WhichOneof("expr_type"):
        case "unresolved_attribute":
            name = expression.unresolved_attribute.unparsed_identifier
        case "unresolved_star":
            name = expression.unresolved_star.unparsed_target
        case "expression_string":
            return any(
                (token.name or "").lower() == METADATA for token in tokenize(expression.expression_string.expression)
            )
        case _:
            return False
    return METADATA in (part.lower() for part in column_parts(name.removesuffix(".*")))


def mentions_file_function(expression: pb.Expression) -> bool:
    """Whether this very expression is a call of one of `FILE_FUNCTIONS`, or has one in its text."""
    match expression.WhichOneof("expr_type"):
        case "unresolved_function":
            return expression.unresolved_function.function_name.lower() in FILE_FUNCTIONS
        case "call_function":
            return expression.call_function.function_name.lower() in FILE_FUNCTIONS
        case "expression_string":
            words = tokenize(expression.expression_string.expression)
            return any(token.text.lower() in FILE_FUNCTIONS for token in words)
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
            # Spark plans all others as an aggregate over all columns.
            union_all = relation.set_op.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and relation.set_op.is_all
            return "stateless" if union_all else "distinct"
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
