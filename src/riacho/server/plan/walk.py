"""Walk and rebuild trees of Spark Connect messages.

A plan is a tree of `Relation` messages; each of them holds trees of `Expression` messages, which hold no relations
(a subquery names its relation by `plan_id`, and the relation hangs in `WithRelations.references`). Reading a protobuf
field costs about as much as ten plain Python attribute reads, so nothing here looks into fields that cannot lead to
what is sought: the schema of the messages tells which ones can, and is asked once.

Everything is iterative: plans of thousands of nested nodes are common (one `withColumn` per column in a loop).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from riacho.protos import pb

Path = tuple[str | int, ...]
"""How to get from one message to another inside it: field names, and positions in repeated fields."""


Found = TypeVar("Found", bound=Message)


class Finder(Generic[Found]):
    """Finds the nearest messages of one type below a message, `target`, without looking past any of type `barrier`."""

    def __init__(self, target: type[Found], barrier: type[Message] | None = None) -> None:
        self._target = target.DESCRIPTOR.full_name
        self._barrier = barrier.DESCRIPTOR.full_name if barrier else None
        self._slots: dict[str, _Slots] = {}

    def nearest(self, message: Message) -> Iterator[Found]:
        """The targets below `message`, left to right; what lies inside a target is not looked at."""
        for _, found in self.paths(message):
            yield found

    def paths(self, message: Message) -> Iterator[tuple[Path, Found]]:
        """The same with the path from `message` to each."""
        for name, is_target, repeated in self._slots_of(message.DESCRIPTOR).present(message):
            value = getattr(message, name)
            if not repeated:
                if is_target:
                    yield (name,), value
                else:
                    for path, found in self.paths(value):
                        yield (name, *path), found
                continue
            for index, item in enumerate(value):
                if is_target:
                    yield (name, index), item
                else:
                    for path, found in self.paths(item):
                        yield (name, index, *path), found

    def _slots_of(self, descriptor: Any) -> _Slots:
        slots = self._slots.get(descriptor.full_name)
        if slots is None:
            fields = [f for f in descriptor.fields if f.message_type and self._leads(f.message_type, set())]
            slots = self._slots[descriptor.full_name] = _Slots(fields, self._target)
        return slots

    def _leads(self, descriptor: Any, seen: set[str]) -> bool:
        """Whether a message of this type is a target or can hold one."""
        if descriptor.full_name == self._target:
            return True
        if descriptor.full_name == self._barrier or descriptor.full_name in seen:
            return False
        seen.add(descriptor.full_name)
        return any(f.message_type and self._leads(f.message_type, seen) for f in descriptor.fields)


class _Slots:
    """The fields of one message type that lead to a target: (name, is it one itself, is it repeated)."""

    def __init__(self, fields: list[Any], target: str) -> None:
        self._all = [(f.name, f.message_type.full_name == target, f.is_repeated) for f in fields]
        self._by_name = {slot[0]: slot for slot in self._all}
        oneofs = {f.containing_oneof.name if f.containing_oneof else None for f in fields}
        # Relation, Expression and Command are one large oneof each: one question instead of fifty.
        self._oneof = oneofs.pop() if len(oneofs) == 1 and len(fields) > 1 else None

    def present(self, message: Message) -> Iterator[tuple[str, bool, bool]]:
        if self._oneof:
            slot = self._by_name.get(message.WhichOneof(self._oneof) or "")
            if slot:
                yield slot
            return
        for slot in self._all:
            if slot[2] or message.HasField(slot[0]):
                yield slot


_RELATIONS = Finder(pb.Relation)
_EXPRESSIONS = Finder(pb.Expression, barrier=pb.Relation)


def children(message: Message) -> Iterator[pb.Relation]:
    """The relations directly below a relation (or any other message, such as a command), in plan order."""
    return _RELATIONS.nearest(message)


def child_paths(message: Message) -> Iterator[tuple[Path, pb.Relation]]:
    """Like `children`, with the path from `message` to each."""
    return _RELATIONS.paths(message)


def walk(relation: pb.Relation) -> Iterator[pb.Relation]:
    """`relation` and all below it, parents before children, left before right: Spark's order of sources.

    Do not change the structure of the tree meanwhile; see `transform`.
    """
    pending = [relation]
    while pending:
        node = pending.pop()
        yield node
        below = list(_RELATIONS.nearest(node))
        below.reverse()
        pending += below


def walk_paths(relation: pb.Relation) -> Iterator[tuple[Path, pb.Relation]]:
    """Like `walk`, with the path from `relation` to each node; see `at`."""
    pending: list[tuple[Path, pb.Relation]] = [((), relation)]
    while pending:
        path, node = pending.pop()
        yield path, node
        below = [((*path, *steps), found) for steps, found in _RELATIONS.paths(node)]
        below.reverse()
        pending += below


def at(message: Message, path: Path) -> Any:
    """The message that stands at `path` inside `message`."""
    found: Any = message
    for step in path:
        found = found[step] if isinstance(step, int) else getattr(found, step)
    return found


def transform(relation: pb.Relation, change: Callable[[pb.Relation], pb.Relation]) -> pb.Relation:
    """A copy of `relation` in which `change` was applied to every node, children before parents.

    `change` gets a node of the copy whose children are changed already. It may alter the node in place and return it,
    or return another relation (one that contains the node, or one that the node contains) to stand in its place.
    `relation` itself is never altered.
    """
    result = pb.Relation()
    result.CopyFrom(relation)
    # Parents stand before their children in this list, so from its end each node comes after all that is below it.
    for node in reversed(list(walk(result))):
        changed = change(node)
        if changed is not node:
            replace(node, changed)
    return result


def replace(place: Message, content: Message) -> None:
    """Make `place` equal to `content`, which may lie inside `place`."""
    kept = type(content)()
    kept.CopyFrom(content)
    place.CopyFrom(kept)


def expressions(message: Message) -> Iterator[pb.Expression]:
    """All expressions of one relation (or other message) and those nested in them, but not those of its children."""
    pending = list(_EXPRESSIONS.nearest(message))
    pending.reverse()
    while pending:
        node = pending.pop()
        yield node
        below = list(_EXPRESSIONS.nearest(node))
        below.reverse()
        pending += below


def expression_paths(message: Message) -> Iterator[tuple[Path, pb.Expression]]:
    """Like `expressions`, with the path from `message` to each."""
    pending = list(_EXPRESSIONS.paths(message))
    pending.reverse()
    while pending:
        path, node = pending.pop()
        yield path, node
        below = [((*path, *steps), found) for steps, found in _EXPRESSIONS.paths(node)]
        below.reverse()
        pending += below


def top_expressions(message: Message) -> Iterator[pb.Expression]:
    """The expressions that stand directly in one relation, for instance the columns of a projection."""
    return _EXPRESSIONS.nearest(message)


def transform_expressions(message: Message, change: Callable[[pb.Expression], pb.Expression]) -> None:
    """Apply `change` to all expressions of one relation in place, inner before outer; as `transform` does."""
    for node in reversed(list(expressions(message))):
        changed = change(node)
        if changed is not node:
            replace(node, changed)


def transform_expression(expression: pb.Expression, change: Callable[[pb.Expression], pb.Expression]) -> pb.Expression:
    """A copy of one expression with `change` applied to it and all inside it, inner before outer."""
    held = pb.Expression(alias=pb.Expression.Alias(expr=expression))
    transform_expressions(held, change)
    return held.alias.expr
