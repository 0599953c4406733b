"""Relations beside a SQL text, which the text names: how what is not in the engine's catalog gets into a text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final

from riacho.protos import pb
from riacho.server.sql.references import TableReference
from riacho.server.sql.tokens import Edit, identifier, tokenize

_PLAN_IDS: Final = count(1 << 40)
"""Ids of relations that no client has made; clients count from 0."""
_OWN_NAME: Final = re.compile(r"riacho_[a-z]+_\d{13,}")


def new_name(what: str) -> str:
    """A name for a relation beside a text, that nobody else uses. `what`: a word that says what it is."""
    return f"riacho_{what}_{next(_PLAN_IDS)}"


def is_own_name(name: str) -> bool:
    """Whether `new_name` gave that name."""
    return _OWN_NAME.fullmatch(name) is not None


def shortened(text: str, references: Sequence[TableReference]) -> list[Edit]:
    """The edits that take the database from columns of these tables (`db.t.id`, `db.t.*`): an alias has none."""
    tokens = tokenize(text)
    names = {tuple(part.lower() for part in each.parts) for each in references if len(each.parts) > 1}
    taken = [(each.start, each.end) for each in references]
    edits = []
    at = 0
    while at < len(tokens):
        parts, behind = identifier(tokens, at)
        start = tokens[at].start
        within = any(first <= start < last for first, last in taken)
        lowered = tuple(part.lower() for part in parts)
        for name in names if parts and not within else ():
            starred = lowered == name and behind + 1 < len(tokens) and tokens[behind].is_symbol(".")
            if starred or (len(lowered) > len(name) and lowered[: len(name)] == name):
                edits.append(Edit(start, tokens[at + 2 * (len(name) - 1)].start, ""))
                break
        at = max(behind, at + 1)
    return edits


def with_inputs(node: pb.Relation, inputs: Mapping[str, pb.Relation]) -> pb.Relation:
    """`node`, a SQL text, with `inputs` beside it under their names; `node` itself if there are none."""
    if not inputs:
        return node
    result = pb.Relation()
    result.common.CopyFrom(node.common)
    result.with_relations.root.CopyFrom(node)
    for name, read in inputs.items():
        reference = result.with_relations.references.add(subquery_alias=pb.SubqueryAlias(input=read, alias=name))
        reference.common.plan_id = next(_PLAN_IDS)
    return result


def flat(node: pb.Relation) -> pb.Relation:
    """`node` without relations inside relations that the root of a text has beside it."""
    inner = node.with_relations.root
    if node.WhichOneof("rel_type") == "with_relations" and inner.WhichOneof("rel_type") == "with_relations":
        node.with_relations.references.extend(inner.with_relations.references)
        root = pb.Relation()
        root.CopyFrom(inner.with_relations.root)
        node.with_relations.root.CopyFrom(root)
    return node
