"""Qualified stars (`t.*`) of tables that are named with their database.

    before                              after
    SELECT t.* FROM db.t                SELECT `db`.`t`.* FROM db.t
    Project t.* / Read db.t             Project `db`.`t`.* / Read db.t

There the engine finds no columns for `t.*` and reports no error: the query continues without them. It does find
single columns, such as `t.a`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riacho.identifiers import column_parts, quoted
from riacho.protos import pb
from riacho.server.plan.walk import children, expressions, transform, walk
from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Edit, Token, parse_identifier, splice, tokenize


def with_their_tables(relation: pb.Relation) -> pb.Relation:
    """`relation` with each table's star qualified so that the engine finds it; the same object if there is none."""
    if b"*" not in relation.SerializeToString() or not any(_has_star(node) for node in walk(relation)):
        return relation
    return transform(relation, _named)


def _has_star(node: pb.Relation) -> bool:
    if node.HasField("sql"):
        return ".*" in node.sql.query.replace(" ", "")
    return any(expression.HasField("unresolved_star") for expression in expressions(node))


def _named(node: pb.Relation) -> pb.Relation:
    """The node, modified in place."""
    if node.HasField("sql"):
        node.sql.query = in_text(node.sql.query)
        return node
    for expression in expressions(node):
        if expression.HasField("unresolved_star") and expression.unresolved_star.unparsed_target:
            target = column_parts(expression.unresolved_star.unparsed_target.removesuffix(".*"))
            read = next((read for name, read in _names_below(node) if name.lower() == target[-1].lower()), None)
            if len(target) == 1 and read is not None:
                name = quoted(parse_identifier(read.unparsed_identifier)[-2:])
                read.unparsed_identifier = name
                expression.unresolved_star.unparsed_target = f"{name}.*"
    return node


def _names_below(node: pb.Relation) -> Iterator[tuple[str, pb.Read.NamedTable | None]]:
    """The qualifiers for columns of a node's inputs, each with the table read, if that is named with its database.

    The nearest comes first; an alias hides what it names.
    """
    for child in children(node):
        if child.HasField("subquery_alias"):
            yield child.subquery_alias.alias, None
        elif child.HasField("read") and child.read.HasField("named_table"):
            parts = parse_identifier(child.read.named_table.unparsed_identifier)
            if parts:
                yield parts[-1], child.read.named_table if len(parts) > 1 else None
        else:
            yield from _names_below(child)


def in_text(text: str) -> str:
    """SQL text with the stars of its tables qualified in this way."""
    tokens = tokenize(text)
    stars = [
        at - 1
        for at in range(1, len(tokens) - 1)
        if tokens[at].is_symbol(".")
        and tokens[at + 1].is_symbol("*")
        and tokens[at - 1].name
        and (at < 2 or not tokens[at - 2].is_symbol("."))
    ]
    if not stars:
        return text
    brackets = _brackets(tokens)
    references = table_references(text, tokens)
    taken = {_alias(reference, tokens) for reference in references if reference.aliased}
    edits = {}
    for reference in references:
        if len(reference.parts) < 2 or reference.aliased or reference.streaming:
            continue
        name, called = reference.parts[-1].lower(), quoted(reference.parts[-2:])
        first = next(at for at, token in enumerate(tokens) if token.start >= reference.start)
        # A table inside its own brackets is known by the alias after them, or not at all.
        own = [
            at
            for at in stars
            if (tokens[at].name or "").lower() == name
            and name not in taken
            and brackets[first] in _around(brackets, at)
        ]
        if own:
            last = first + 2 * (len(reference.parts) - 1)
            edits[first] = Edit(tokens[first].start, tokens[last].end, called)
            edits.update({at: Edit(tokens[at].start, tokens[at].end, called) for at in own})
    return splice(text, list(edits.values())) if edits else text


def _brackets(tokens: Sequence[Token]) -> list[int]:
    """For each token, the position of the bracket that encloses it; -1 if there is none."""
    found, still_open = [], [-1]
    for at, token in enumerate(tokens):
        if token.is_symbol(")") and len(still_open) > 1:
            still_open.pop()
        found.append(still_open[-1])
        if token.is_symbol("("):
            still_open.append(at)
    return found


def _around(brackets: Sequence[int], at: int) -> Iterator[int]:
    """The brackets around a token from the inside out, then -1."""
    bracket = brackets[at]
    while bracket >= 0:
        yield bracket
        bracket = brackets[bracket]
    yield -1


def _alias(reference: TableReference, tokens: Sequence[Token]) -> str:
    """The alias that follows a reference, in lower case."""
    behind = (token for token in tokens if token.start >= reference.behind and token.word != "AS")
    return (getattr(next(behind, None), "name", None) or "").lower()
