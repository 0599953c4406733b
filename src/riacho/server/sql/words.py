"""The words that mark where the parts of a query begin and end. Source: `SqlBaseParser.g4`."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """A set of words, written as one string."""
    return frozenset(text.split())


QUERY_STARTS = words("SELECT WITH FROM VALUES TABLE MAP REDUCE")
"""What a query begins with, inside its brackets."""

IN_BRACKETS = QUERY_STARTS - words("MAP REDUCE")
"""What a query in brackets begins with, as opposed to a list: `(map(1, 2))` is not a query."""

SET_OPERATIONS = words("UNION EXCEPT MINUS INTERSECT")

BEHIND_SELECT = words("FROM WHERE GROUP HAVING QUALIFY WINDOW ORDER SORT CLUSTER DISTRIBUTE LIMIT OFFSET")
"""The clauses of a query after its SELECT list, each at most once."""

ENDS_FROM = (BEHIND_SELECT - {"FROM"}) | SET_OPERATIONS | words("SELECT SET VALUES LATERAL INSERT")
"""What ends a FROM clause; LATERAL VIEW is a clause of its own."""

JOIN_WORDS = words("JOIN INNER CROSS LEFT RIGHT FULL OUTER SEMI ANTI NATURAL")
"""The words that the name of a join is made of."""

_BEHIND_RELATION = words(
    "ON USING ASOF PIVOT UNPIVOT TABLESAMPLE WATERMARK WITH IDENTIFIED FOR VERSION TIMESTAMP SYSTEM_VERSION "
    "SYSTEM_TIME CHANGES WHEN"
)
NO_ALIAS = ENDS_FROM | JOIN_WORDS | _BEHIND_RELATION
"""What ends a relation, so that none of these words is its alias."""

DATABASE_WORDS = ("DATABASE", "SCHEMA", "NAMESPACE")
DATABASES_WORDS = ("DATABASES", "SCHEMAS", "NAMESPACES")
