"""Functions that the engine has under Spark's name but with different results: the expressions that replace them.

One table serves calls in plans and in SQL text alike. An entry takes the arguments and returns the expression that
means to the engine what the call means to Spark, or None if the call can stay as it is; it raises
UnsupportedOperationError if there is no such expression. docs/compatibility.md lists the functions;
`tests/spec/test_functions.py` compares the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2s
from itertools import pairwise

import pyarrow as pa

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.engine.sail.dialect import avro, java_regex, lambdas
from riacho.server.engine.sail.dialect.branches import typed_branches
from riacho.server.engine.sail.dialect.from_json import from_csv, from_json
from riacho.server.plan import build
from riacho.server.plan.from_sql.grouping import AGGREGATES as ALL_AGGREGATES
from riacho.server.plan.literals import int_literal, integer_of, string_of
from riacho.server.plan.walk import expressions
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import words

Expression = pb.Expression
Arguments = Sequence[Expression]
Entry = Callable[[Arguments], Expression | None]

AGGREGATES = frozenset({"approx_percentile", "percentile_approx"})
"""The aggregate functions among them: on a stream, riacho computes them itself."""

LISTS = frozenset({"array_agg", "collect_list"})
"""Aggregate functions that skip nulls; the engine does so too, except over a window of rows."""


def _of(*counts: int) -> Callable[[Entry], Entry]:
    """An entry for calls with these numbers of arguments; the engine reports any other."""

    def decorate(entry: Entry) -> Entry:
        return lambda arguments: entry(arguments) if len(arguments) in counts else None

    return decorate


@_of(3)
def _if(arguments: Arguments) -> Expression | None:
    """`if(c, a, b)`, made to show its common type, see `branches`."""
    typed = typed_branches(arguments[1:])
    return None if typed is None else build.call("if", arguments[0], *typed)


def _when(arguments: Arguments) -> Expression | None:
    """`CASE` as the DataFrame API sends it: condition, value, condition, value, …, then the value of ELSE."""
    places = [at for at in range(len(arguments)) if at % 2 == 1 or at == len(arguments) - 1]
    typed = typed_branches([arguments[at] for at in places])
    if typed is None:
        return None
    changed = list(arguments)
    for at, value in zip(places, typed, strict=True):
        changed[at] = value
    return build.call("when", *changed)


@_of(1)
def _string(arguments: Arguments) -> Expression | None:
    return build.cast(arguments[0], pa.string())


@_of(1)
def _timestamp(arguments: Arguments) -> Expression | None:
    """The engine reads a number as whole seconds, or as microseconds; a cast reads seconds with fractions."""
    return build.cast(arguments[0], pa.timestamp("us", "UTC"))


def _labelled(name: str) -> Entry:
    """A function whose TIMESTAMP the engine returns in UTC, although others expect the session's time zone."""

    @_of(1)
    def entry(arguments: Arguments) -> Expression | None:
        return build.cast(build.call(name, arguments[0]), pa.timestamp("us", "UTC"))

    return entry


@_of(6)
def _make_timestamp(arguments: Arguments) -> Expression | None:
    """Local times that the clock skips or repeats are not an error."""
    return build.cast(build.call("make_timestamp_ntz", *arguments), pa.timestamp("us", "UTC"))


@_of(2)
def _date_trunc(arguments: Arguments) -> Expression | None:
    """The engine turns a date into a timestamp without a zone."""
    value = arguments[1]
    return None if value.HasField("cast") else build.call("date_trunc", arguments[0], _timestamp([value]) or value)


@_of(1)
def _isnan(arguments: Arguments) -> Expression | None:
    """False for null, so that `NOT isnan(x)` keeps nulls."""
    return build.call("<=>", build.call("isnan", *arguments), build.boolean(True))


@_of(1)
def _rint(arguments: Arguments) -> Expression | None:
    """Ties round to the even number."""
    return build.call("bround", build.cast(arguments[0], pa.float64()), int_literal(0))


@_of(1)
def _weekday(arguments: Arguments) -> Expression | None:
    """Monday is 0; `dayofweek` has Sunday as 1."""
    return _after(build.call("dayofweek", *arguments), 5)


def _after(day: Expression, days: int) -> Expression:
    return build.call("%", build.call("+", day, int_literal(days)), int_literal(7))


@_of(2)
def _date_part(arguments: Arguments) -> Expression | None:
    """`date_part(field, x)` and `extract(field FROM x)`: days of the week, numbered as in Spark."""
    field = (string_of(arguments[0]) or "").upper()
    if field in ("DOW", "DAYOFWEEK"):
        return build.call("dayofweek", arguments[1])
    if field in ("DOW_ISO", "DAYOFWEEK_ISO"):
        return build.call("+", _after(build.call("dayofweek", arguments[1]), 5), int_literal(1))
    return None


@_of(1)
def _initcap(arguments: Arguments) -> Expression | None:
    """Only blanks separate words."""
    name = Expression.UnresolvedNamedLambdaVariable(name_parts=["w"])
    word = Expression(unresolved_named_lambda_variable=name)
    head = build.call("upper", build.call("substring", word, int_literal(1), int_literal(1)))
    tail = build.call("lower", build.call("substring", word, int_literal(2)))
    capital = Expression.LambdaFunction(function=build.call("concat", head, tail), arguments=[name])
    words = build.call("split", arguments[0], build.text(" "))
    changed = lambdas.staying("transform")([words, Expression(lambda_function=capital)])
    return build.call("array_join", changed, build.text(" ")) if changed is not None else None


@_of(2)
def _left(arguments: Arguments) -> Expression | None:
    """Empty for a negative number. The engine's own `left` has a special type, which it then fails to return."""
    length = integer_of(arguments[1])
    most = arguments[1] if length is not None and length >= 0 else build.call("greatest", arguments[1], int_literal(0))
    return build.call("substring", arguments[0], int_literal(1), most)


@_of(2)
def _right(arguments: Arguments) -> Expression | None:
    """As `left`."""
    length = integer_of(arguments[1])
    if length is None:
        return build.call("right", arguments[0], build.call("greatest", arguments[1], int_literal(0)))
    if length > 0:
        return build.call("substring", arguments[0], int_literal(-length))
    return build.call("substring", arguments[0], int_literal(1), int_literal(0))


@_of(2, 3)
def _split(arguments: Arguments) -> Expression | None:
    """Splits by a pattern. An empty pattern splits into characters, where the engine adds an empty one at both ends."""
    everywhere = len(arguments) == 2 or (integer_of(arguments[2]) or 0) < 1
    if string_of(arguments[1]) == "" and everywhere:
        characters = build.call("regexp_extract_all", arguments[0], build.text("(?s)."), int_literal(0))
        nothing = build.call("array", build.text(""))
        return build.call("if", build.call("==", arguments[0], build.text("")), nothing, characters)
    return _with_pattern("split", arguments)


def _by_pattern(name: str) -> Entry:
    return lambda arguments: _with_pattern(name, arguments)


def _with_pattern(name: str, arguments: Arguments) -> Expression | None:
    """A function whose second argument is a pattern."""
    java = string_of(arguments[1]) if len(arguments) > 1 else None
    if java is None or (pattern := java_regex.pattern(java)) == java:
        return None
    return build.call(name, arguments[0], build.text(pattern), *arguments[2:])


@_of(3, 4)
def _regexp_replace(arguments: Arguments) -> Expression | None:
    changed = list(arguments)
    java, new = string_of(arguments[1]), string_of(arguments[2])
    if java is not None:
        changed[1] = build.text(java_regex.pattern(java))
    if new is not None and (read := java_regex.replacement(new, java_regex.groups(java or ""))) != new:
        changed[2] = build.call("concat", build.text(read))  # no longer a literal, because it is not a Java pattern
    same = string_of(changed[1]) == java and changed[2] == arguments[2]
    return None if same else build.call("regexp_replace", *changed)


@_of(2, 3)
def _percentile(arguments: Arguments) -> Expression | None:
    """The smallest value with enough values at or below it, where the engine interpolates; exact at any accuracy."""
    value = named_apart(arguments[0]) if has_cast(arguments[0]) else arguments[0]
    values = build.call("sort_array", build.call("collect_list", value))
    count = build.call("count", value)

    def at(share: Expression) -> Expression:
        rank = build.call("ceil", build.call("*", build.cast(share, pa.float64()), count))
        place = build.call("greatest", build.call("-", rank, int_literal(1)), int_literal(0))
        return build.call("get", values, build.cast(place, pa.int32()))

    wanted = arguments[1]
    if wanted.unresolved_function.function_name.lower() == "array":
        shares = list(wanted.unresolved_function.arguments)
    elif wanted.literal.HasField("array"):
        shares = [Expression(literal=literal) for literal in wanted.literal.array.elements]
    else:
        return at(wanted)
    several = build.call("array", *map(at, shares))
    return build.call("if", build.call(">", count, int_literal(0)), several, build.null())


@_of(2)
def _get_json_object(arguments: Arguments) -> Expression | None:
    path = string_of(arguments[1])
    if path is not None and "*" in path:
        raise UnsupportedOperationError(
            f"get_json_object with '*' in its path, '{path}', is not supported: the engine would return null. Parse "
            "the value with from_json and take the field of each element: transform(from_json(j, 'a ARRAY<…>').a, …)."
        )
    return None


def _difference(name: str) -> Entry:
    """`timestampdiff(DAY, a, b)`: whole days, where the engine counts midnights."""

    @_of(3)
    def entry(arguments: Arguments) -> Expression | None:
        if _unit(arguments[0]) != "DAY":
            return None
        hours = build.call(name, _like(arguments[0], "HOUR"), *arguments[1:])
        return build.call("div", hours, build.integer(24))

    return entry


_CASTS = frozenset(
    words("cast try_cast double float int bigint smallint tinyint decimal string boolean date timestamp binary")
)


def has_cast(argument: Expression) -> bool:
    """Whether an argument of an aggregate function contains a cast and is not `named_apart` yet."""
    if _is_apart(argument):
        return False
    return any(map(_casts, (argument, *expressions(argument))))


def _is_apart(argument: Expression) -> bool:
    function = argument.unresolved_function
    if function.function_name == "if" and function.arguments:
        known = function.arguments[0].unresolved_function
        return known.function_name == "isnotnull" and known.arguments[0].literal.HasField("string")
    return argument.expression_string.expression.startswith("if(isnotnull('")


def _casts(expression: Expression) -> bool:
    if expression.HasField("expression_string"):
        tokens = tokenize(expression.expression_string.expression)
        return any(
            token.is_symbol("::") or (token.word.lower() in _CASTS and behind.is_symbol("("))
            for token, behind in pairwise(tokens)
        )
    name = expression.unresolved_function.function_name or expression.call_function.function_name
    return expression.HasField("cast") or name.lower() in _CASTS


def named_apart(argument: Expression) -> Expression:
    """The value of an expression that contains a cast, under a name of its own.

    The engine names an aggregate after its argument and leaves casts, including implied ones, out of the name. Two
    aggregates with one name in one aggregation are an error, or one gets the other's values. So the name gets a word
    that is unique to the expression, which costs nothing at run time.
    """
    tag = blake2s(argument.SerializeToString(deterministic=True), digest_size=4).hexdigest()
    return build.call("if", build.call("isnotnull", build.text(tag)), argument, build.null())


@_of(1)
def _to_json(arguments: Arguments) -> Expression | None:
    """Times are written with milliseconds."""
    options = build.call("map", build.text("timestampFormat"), build.text("yyyy-MM-dd'T'HH:mm:ss.SSSXXX"))
    return build.call("to_json", arguments[0], options)


def without_nulls(values: Expression) -> Expression:
    """The list without its nulls."""
    name = Expression.UnresolvedNamedLambdaVariable(name_parts=["e"])
    value = Expression(unresolved_named_lambda_variable=name)
    known = Expression.LambdaFunction(function=build.call("isnotnull", value), arguments=[name])
    return build.call("filter", values, Expression(lambda_function=known))


def not_over_rows(name: str) -> UnsupportedOperationError:
    """The error for an aggregate function over a window of rows."""
    return UnsupportedOperationError(
        f"{name} over a window of rows is not supported: the engine would interpolate between values. Use percentile, "
        "or aggregate by the window's keys and join the result."
    )


def _unit(argument: Expression) -> str:
    """The unit that an argument names, which is a string in plans and a bare word in SQL text."""
    return (string_of(argument) or argument.expression_string.expression).upper()


def _like(argument: Expression, unit: str) -> Expression:
    """A unit, written the same way as `argument`."""
    if string_of(argument) is not None:
        return build.text(unit)
    return Expression(expression_string=Expression.ExpressionString(expression=unit))


FUNCTIONS: Mapping[str, Entry] = {
    "approx_percentile": _percentile,
    "date_diff": _difference("date_diff"),
    "date_part": _date_part,
    "date_trunc": _date_trunc,
    "datediff": _difference("datediff"),
    "datepart": _date_part,
    "from_avro": avro.from_avro,
    "from_csv": from_csv,
    "from_json": from_json,
    "get_json_object": _get_json_object,
    "if": _if,
    "initcap": _initcap,
    "isnan": _isnan,
    "left": _left,
    "make_timestamp": _make_timestamp,
    "make_timestamp_ltz": _make_timestamp,
    "percentile_approx": _percentile,
    "regexp": _by_pattern("regexp"),
    "regexp_count": _by_pattern("regexp_count"),
    "regexp_extract": _by_pattern("regexp_extract"),
    "regexp_extract_all": _by_pattern("regexp_extract_all"),
    "regexp_instr": _by_pattern("regexp_instr"),
    "regexp_like": _by_pattern("regexp_like"),
    "regexp_replace": _regexp_replace,
    "regexp_substr": _by_pattern("regexp_substr"),
    "right": _right,
    "rint": _rint,
    "rlike": _by_pattern("rlike"),
    "schema_of_avro": avro.schema_of_avro,
    "split": _split,
    "string": _string,
    "timestamp": _timestamp,
    "timestamp_micros": _labelled("timestamp_micros"),
    "timestamp_millis": _labelled("timestamp_millis"),
    "timestamp_seconds": _timestamp,
    "timestampdiff": _difference("timestampdiff"),
    "to_avro": avro.to_avro,
    "to_json": _to_json,
    "to_timestamp": _timestamp,
    "weekday": _weekday,
    "when": _when,
    **{name: lambdas.staying(name) for name in lambdas.NAMES},
}
"""The entries by lower-case name."""

NAMED = ALL_AGGREGATES - set(FUNCTIONS) - {"grouping", "grouping_id"}
"""Aggregate functions whose arguments are `named_apart`."""
