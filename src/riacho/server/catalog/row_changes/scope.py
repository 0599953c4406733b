"""The names by which a statement's expressions know its tables, and relations under those names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.sql.tokens import Edit, identifier, splice, tokenize

Path = tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """`column = value`. `column` has several parts for a field of a struct; a value of None is the column's default."""

    column: Path
    value: pb.Expression | None


@dataclass(frozen=True)
class TableScope:
    """How a table is called in a statement: by its alias, or else by its name, with or without its database.

    `parts` are the parts that may stand before a column, the last one always.
    """

    parts: Path

    @property
    def alias(self) -> str:
        return self.parts[-1]

    def over(self, relation: pb.Relation) -> pb.Relation:
        """`relation` under the table's name."""
        return pb.Relation(subquery_alias=pb.SubqueryAlias(input=relation, alias=self.alias))

    def column(self, name: str) -> pb.Expression:
        """The table's column of that name, whatever other tables have."""
        return attribute(self.alias, name)

    def strip(self, column: Path, known: frozenset[str]) -> Path:
        """The column that the left side of an assignment names, without the table. `known`: columns, in lower case."""
        lowered = tuple(part.lower() for part in column)
        for length in range(len(self.parts), 0, -1):
            prefix = tuple(part.lower() for part in self.parts[-length:])
            if len(column) > length and lowered[:length] == prefix and lowered[length] in known:
                return column[length:]
        return column


def attribute(*parts: str) -> pb.Expression:
    """A column by its full name."""
    quoted = ".".join(quote_if_needed(part) for part in parts)
    return pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=quoted))


def expression(text: str, scopes: Sequence[TableScope]) -> pb.Expression:
    """SQL text as an expression over tables in these scopes; names such as `db.t.column` lose the database."""
    return pb.Expression(
        expression_string=pb.Expression.ExpressionString(expression=_short_names(text, scopes).strip())
    )


def _short_names(text: str, scopes: Sequence[TableScope]) -> str:
    qualified = [scope.parts for scope in scopes if len(scope.parts) > 1]
    if not qualified:
        return text
    tokens = tokenize(text)
    edits = []
    at = 0
    while at < len(tokens):
        parts, behind = identifier(tokens, at)
        if parts:
            lowered = tuple(part.lower() for part in parts)
            for full in qualified:
                for length in range(len(full), 1, -1):
                    prefix = tuple(part.lower() for part in full[-length:])
                    if len(parts) > length and lowered[:length] == prefix:
                        edits.append(Edit(tokens[at].start, tokens[at + 2 * (length - 1)].start, ""))
                        break
                else:
                    continue
                break
        at = max(behind, at + 1)
    return splice(text, edits)
