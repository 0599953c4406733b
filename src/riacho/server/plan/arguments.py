"""Arguments of SQL text put into it: what `spark.sql(text, args)` gives for `:name` and `?`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.sql.tokens import Edit, Token, splice, string_literal, tokenize

_EPOCH = date(1970, 1, 1)
_CONSTRUCTORS = frozenset({"array", "map", "map_from_arrays", "named_struct", "struct"})


def with_arguments(text: str, sql: pb.SQL) -> str:
    """`text` with the arguments of `sql` in the places of its markers; the same object if it has none.

    Raises UNBOUND_SQL_PARAMETER for a marker without an argument where there are arguments, UnsupportedOperationError
    for an argument that cannot be written as SQL.
    """
    named: dict[str, pb.Expression] = {
        **{name: pb.Expression(literal=literal) for name, literal in sql.args.items()},
        **sql.named_arguments,
    }
    placed = [*(pb.Expression(literal=literal) for literal in sql.pos_args), *sql.pos_arguments]
    if not named and not placed:
        return text
    tokens = tokenize(text)
    edits: list[Edit] = []
    given = iter(placed)
    for at, token in enumerate(tokens):
        if token.is_symbol("?") and placed:
            argument = next(given, None)
            edits.append(Edit(token.start, token.end, _written(argument, f"_{token.start}")))
        elif named and _is_marker(tokens, at):
            name = tokens[at + 1].text
            edits.append(Edit(token.start, tokens[at + 1].end, _written(named.get(name), name)))
    return splice(text, edits)


def _is_marker(tokens: list[Token], at: int) -> bool:
    """Whether `:name` begins there, and not the path of `value:field`."""
    token = tokens[at]
    if not token.is_symbol(":") or at + 1 >= len(tokens) or tokens[at + 1].kind != "word":
        return False
    if tokens[at + 1].start != token.end:
        return False
    before = tokens[at - 1] if at else None
    joined = before is not None and before.end == token.start
    return not (joined and before is not None and (before.name is not None or before.text in {")", "]"}))


def _written(argument: pb.Expression | None, name: str) -> str:
    if argument is None:
        raise AnalysisError.of(
            "UNBOUND_SQL_PARAMETER",
            f"Found the unbound parameter: {name}. Please, fix `args` and provide a mapping of the parameter to either "
            "a SQL literal or collection constructor functions such as `map()`, `array()`, `struct()`.",
            sql_state="42P02",
            name=name,
        )
    match argument.WhichOneof("expr_type"):
        case "literal":
            return _literal(argument.literal)
        case "unresolved_function" if argument.unresolved_function.function_name.lower() in _CONSTRUCTORS:
            call = argument.unresolved_function
            return f"{call.function_name}({', '.join(_written(each, name) for each in call.arguments)})"
        case "alias":
            return _written(argument.alias.expr, name)
    raise UnsupportedOperationError(f"The argument {name} cannot be used in a statement: pass a plain value.")


def _literal(literal: pb.Expression.Literal) -> str:
    kind = literal.WhichOneof("literal_type") or ""
    writer = _WRITERS.get(kind)
    if writer is None:
        raise UnsupportedOperationError(f"A {kind} cannot be used as an argument of a statement: pass it as a string.")
    return writer(getattr(literal, kind))


def _decimal(value: Any) -> str:
    return f"{Decimal(value.value):f}BD"


def _floating(kind: str) -> Callable[[float], str]:
    return lambda value: f"CAST('{value!r}' AS {kind})"


def _moment(micros: int) -> str:
    """A moment in UTC as text."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "null": lambda _: "NULL",
    "string": string_literal,
    "boolean": lambda value: "true" if value else "false",
    "byte": lambda value: f"CAST({value} AS TINYINT)",
    "short": lambda value: f"CAST({value} AS SMALLINT)",
    "integer": lambda value: f"CAST({value} AS INT)",
    "long": lambda value: f"CAST({value} AS BIGINT)",
    "float": _floating("FLOAT"),
    "double": _floating("DOUBLE"),
    "decimal": _decimal,
    "binary": lambda value: f"X'{value.hex()}'",
    "date": lambda value: f"DATE'{_EPOCH + timedelta(days=value)}'",
    "timestamp": lambda value: f"TIMESTAMP'{_moment(value)}Z'",
    "timestamp_ntz": lambda value: f"TIMESTAMP_NTZ'{_moment(value)}'",
}
