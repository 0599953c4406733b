"""Whether a query gives the same rows whenever it is run over the same tables.

What is not known for sure counts as no: such a view is computed anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.plan.facts import uses_metadata
from riacho.server.plan.mentions import function_names
from riacho.server.plan.walk import expressions, walk
from riacho.server.sql.references import table_references
from riacho.server.sql.tokens import Token, tokenize
from riacho.server.sql.words import words

_CHANGING = words(
    "RAND RANDOM RANDN RANDSTR UNIFORM UUID SHUFFLE MONOTONICALLY_INCREASING_ID SPARK_PARTITION_ID INPUT_FILE_NAME "
    "INPUT_FILE_BLOCK_START INPUT_FILE_BLOCK_LENGTH NOW CURDATE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP "
    "LOCALTIMESTAMP UNIX_TIMESTAMP CURRENT_TIMEZONE CURRENT_USER SESSION_USER USER CURRENT_CATALOG "
    "CURRENT_DATABASE CURRENT_SCHEMA CURRENT_PATH VERSION REFLECT JAVA_METHOD TRY_REFLECT PYTHON_WORKER_LOGS "
    "AES_ENCRYPT"
)
"""Functions that tell of more than their arguments, or draw lots."""
_BY_ORDER = words(
    "FIRST FIRST_VALUE LAST LAST_VALUE ANY_VALUE COLLECT_LIST COLLECT_SET ARRAY_AGG LISTAGG STRING_AGG MAX_BY MIN_BY "
    "MODE APPROX_TOP_K"
)
"""Functions whose values may be others if the rows below come in another order."""
_BY_ORDER_IN_TEXT = words("LIMIT OFFSET OVER")
_WITHOUT_BRACKETS = words(
    "CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIMESTAMP CURRENT_USER SESSION_USER USER CURRENT_CATALOG "
    "CURRENT_DATABASE CURRENT_SCHEMA"
)
"""These are functions without brackets too, unless a column is called so."""
_IN_TEXT = words("TABLESAMPLE IDENTIFIER TRANSFORM RECURSIVE")
_PLAIN = frozenset(
    {"read", "project", "filter", "join", "set_op", "sort", "limit", "aggregate", "sql", "local_relation", "offset",
     "deduplicate", "range", "subquery_alias", "repartition", "to_df", "with_columns_renamed", "drop", "tail",
     "with_columns", "hint", "unpivot", "to_schema", "repartition_by_expression", "with_relations", "fill_na",
     "drop_na", "replace", "lateral_join"}
)  # fmt: skip
"""Relations that are what their inputs are."""
_USER_CODE = ("common_inline_user_defined_function", "typed_aggregate_expression", "direct_shuffle_partition_id")


def why_not(relation: pb.Relation, own_functions: Collection[str], columns: Collection[str]) -> str | None:
    """Why the rows of `relation` may be others next time; None if they are the same.

    `own_functions`: those that the session registered, in lower case. `columns`: names that surely mean columns.
    """
    if uses_metadata(relation):
        return "it asks for the files that rows come from"
    own = frozenset(name.upper() for name in own_functions)
    known = frozenset(name.upper() for name in columns)
    for node in walk(relation):
        kind = node.WhichOneof("rel_type") or ""
        if kind not in _PLAIN:
            return f"{kind.upper()} may give other rows each time"
        if kind == "read" and not node.read.HasField("named_table"):
            return "it reads what is no Delta table of the catalog"
        if kind == "sql" and (found := _in_text(node.sql.query, own, known)):
            return found
        for expression in expressions(node):
            if found := _in_expression(expression, own, known):
                return found
    return None


def order_matters(relation: pb.Relation) -> bool:
    """Whether rows or values of `relation` may depend on the order of the rows that it reads.

    Then two runs over the same tables may differ, though each is right; but not one that is half of both.
    """
    for node in walk(relation):
        kind = node.WhichOneof("rel_type") or ""
        if kind in ("limit", "offset", "tail") or (kind == "deduplicate" and not node.deduplicate.all_columns_as_keys):
            return True
        if kind == "sql" and _order_matters_in(node.sql.query):
            return True
        for expression in expressions(node):
            text = expression.HasField("expression_string")
            if text and _order_matters_in(expression.expression_string.expression):
                return True
            if expression.HasField("window") or (not text and function_names(expression) & _BY_ORDER):
                return True
    return False


def _order_matters_in(text: str) -> bool:
    tokens = tokenize(text)
    called = {token.word for token, behind in pairwise(tokens) if behind.is_symbol("(")}
    return bool({token.word for token in tokens} & _BY_ORDER_IN_TEXT or called & _BY_ORDER)


def _in_expression(expression: pb.Expression, own: frozenset[str], known: frozenset[str]) -> str | None:
    kind = expression.WhichOneof("expr_type") or ""
    if kind in _USER_CODE:
        return "it calls a function of a user"
    if kind == "expression_string":
        return _in_tokens(tokenize(expression.expression_string.expression), own, known)
    if kind == "unresolved_attribute":
        parts = column_parts(expression.unresolved_attribute.unparsed_identifier)
        alone = parts[0].upper() if len(parts) == 1 else ""
        return _changing(alone) if alone in _WITHOUT_BRACKETS - known else None
    called = function_names(expression)
    if found := called & own:
        return f"it calls a function of a user, {min(found).lower()}"
    return _changing(min(found)) if (found := called & _CHANGING) else None


def _in_text(text: str, own: frozenset[str], known: frozenset[str]) -> str | None:
    tokens = tokenize(text)
    if found := {token.word for token in tokens} & _IN_TEXT:
        return f"it has {min(found)}"
    if any(a.word == "AS" and b.word == "OF" for a, b in pairwise(tokens)):
        return "it reads a table as it was"
    return _in_tokens(tokens, own, known)


def _in_tokens(tokens: Sequence[Token], own: frozenset[str], known: frozenset[str]) -> str | None:
    for at, token in enumerate(tokens):
        called = at + 1 < len(tokens) and tokens[at + 1].is_symbol("(")
        if called and token.word in own:
            return f"it calls a function of a user, {token.word.lower()}"
        if token.word in _CHANGING and (called or token.word in _WITHOUT_BRACKETS - known):
            return _changing(token.word)
    return None


def _changing(name: str) -> str:
    return f"{name.lower()} may give another value each time"


def other_tables(text: str, beside: Collection[str]) -> list[str]:
    """What a SQL text reads besides the relations `beside` it, whose names are in lower case."""
    found = (table.parts for table in table_references(text))
    return [".".join(parts) for parts in found if len(parts) > 1 or parts[0].lower() not in beside]
