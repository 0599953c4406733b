"""Rows that a client sends with its plan (`createDataFrame`): fields of null structs are to be null.

    sent                                the engine finds in `s.x`
    s null, x has no nulls of its own   0, which Arrow keeps in its place

Only data from outside is like that; what the engine computes, and what it reads from files, has the nulls inside too.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.plan.walk import transform, walk


def with_inner_nulls(relation: pb.Relation) -> pb.Relation:
    """`relation` with such rows put right; the same object if it has none."""
    if not any(node.HasField("local_relation") and _changed(node.local_relation.data) for node in walk(relation)):
        return relation
    return transform(relation, _put_right)


def _put_right(node: pb.Relation) -> pb.Relation:
    """The node, modified in place."""
    if node.HasField("local_relation") and (changed := _changed(node.local_relation.data)):
        node.local_relation.data = changed
    return node


def _changed(data: bytes) -> bytes | None:
    """The rows as they should be, or None if they are."""
    if not data:
        return None
    with pa.ipc.open_stream(data) as reader:
        if not any(pa.types.is_nested(field.type) for field in reader.schema):
            return None
        batches = list(reader)
    changed = [types.with_inner_nulls(batch) for batch in batches]
    if all(after is before for after, before in zip(changed, batches, strict=True)):
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, changed[0].schema) as writer:
        for batch in changed:
            writer.write_batch(batch)
    return bytes(sink.getvalue())
