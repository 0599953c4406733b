"""The expressions that replace calls, given the types of their arguments: one table, a function → its rule.

A rule gets the name and the arguments with their types, and returns the replacement, if the call needs one, and the
type of the result. `ARGUMENTS` and `RESULTS` are shorthand rules: the types that text arguments are read as, and the
type that a function always returns. They apply to calls in plans and in SQL text alike; `dialect` comes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.server.engine.sail.typed import avro, clocks, coercion, json, numbers
from riacho.server.engine.sail.typed.arithmetic import (
    DAYS,
    MONTHS,
    TIME,
    arithmetic,
    bitwise,
    division,
    negation,
    whole_division,
)
from riacho.server.engine.sail.typed.bytes import array_join, bytes_between, elt, overlay, padded, with_text
from riacho.server.engine.sail.typed.null_division import DIVISIONS, null_first
from riacho.server.engine.sail.typed.values import Result, Rule, Typed, Values, to
from riacho.server.plan import build
from riacho.server.plan.literals import string_of
from riacho.server.plan.overflow import unless_null
from riacho.server.plan.text import column_name
from riacho.server.sql.words import words
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ, type_to_ddl

_KINDS = {"d": pa.float64(), "i": pa.int32(), "l": pa.int64(), "s": pa.string(), "-": None}

ARGUMENTS: Mapping[str, str] = {
    **dict.fromkeys(
        words(
            "acos acosh asin asinh atan atanh cbrt ceil ceiling cos cosh cot csc degrees exp expm1 floor ln log10 "
            "log1p log2 radians sec sign signum sin sinh sqrt tan tanh"
        ),
        "d",
    ),
    **dict.fromkeys(["atan2", "hypot", "log", "pow", "power"], "dd"),
    **dict.fromkeys(["bin", "factorial"], "l"),
    **dict.fromkeys(["round", "bround"], "di"),
    **dict.fromkeys(["repeat", "left", "right"], "-i"),
    **dict.fromkeys(["substring", "substr"], "-ii"),
    **dict.fromkeys(["lpad", "rpad"], "-i-"),
    **dict.fromkeys(["date_add", "date_sub", "dateadd", "add_months"], "-i"),
    **dict.fromkeys(["timestamp_seconds"], "d"),
    **dict.fromkeys(["timestamp_millis", "timestamp_micros", "date_from_unix_date"], "l"),
    **dict.fromkeys(words("avg mean std stddev stddev_pop stddev_samp sum var_pop var_samp variance"), "d"),
    **dict.fromkeys(["kurtosis", "skewness", "try_avg", "try_sum", "percentile", "median"], "d"),
    **dict.fromkeys(["corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", "regr_r2"], "dd"),
    "conv": "-ii",
    "format_number": "d-",
    "from_unixtime": "l-",
    "make_date": "iii",
    "space": "i",
    "width_bucket": "dddl",
}
"""The types that text arguments are read as, by position: d DOUBLE, i INT, l BIGINT, - unchanged."""

RESULTS: Mapping[str, pa.DataType] = {
    **dict.fromkeys(
        words(
            "acos acosh asin asinh atan atan2 atanh avg cbrt corr cos cosh cot covar_pop covar_samp csc degrees "
            "exp expm1 hypot kurtosis ln log log10 log1p log2 mean months_between pi pow power radians rand randn "
            "rint sec sin sinh skewness sqrt std stddev stddev_pop stddev_samp tan tanh var_pop var_samp variance "
            "cume_dist percent_rank"
        ),
        pa.float64(),
    ),
    **dict.fromkeys(
        words(
            "ascii bit_length char_length character_length dayofmonth dayofweek dayofyear day hour instr length "
            "locate levenshtein minute month octet_length quarter rank dense_rank row_number ntile second size "
            "cardinality weekday weekofyear year array_size json_array_length position hash find_in_set"
        ),
        pa.int32(),
    ),
    **dict.fromkeys(
        words(
            "count approx_count_distinct count_if xxhash64 monotonically_increasing_id unix_timestamp "
            "to_unix_timestamp unix_micros unix_millis unix_seconds crc32 factorial array_position"
        ),
        pa.int64(),
    ),
    **dict.fromkeys(
        words(
            "base64 bin btrim char chr concat_ws conv date_format format_number format_string from_unixtime "
            "get_json_object hex initcap lcase lower lpad ltrim md5 regexp_extract regexp_replace regexp_substr "
            "repeat replace rpad rtrim sha sha1 sha2 soundex space split_part string substring_index to_json "
            "translate trim typeof ucase upper uuid monthname dayname input_file_name current_user to_char "
            "url_decode url_encode listagg string_agg array_join"
        ),
        pa.string(),
    ),
    **dict.fromkeys(
        words(
            "isnull isnotnull isnan like ilike rlike regexp regexp_like startswith endswith contains exists "
            "forall array_contains and or not ! any every some bool_and bool_or"
        ),
        pa.bool_(),
    ),
    **dict.fromkeys(
        words(
            "current_date curdate date date_add date_sub add_months last_day make_date next_day to_date "
            "date_from_unix_date"
        ),
        pa.date32(),
    ),
    **dict.fromkeys(
        words(
            "current_timestamp now timestamp timestamp_seconds timestamp_millis timestamp_micros date_trunc "
            "to_timestamp from_utc_timestamp to_utc_timestamp make_timestamp"
        ),
        TIMESTAMP,
    ),
    "float": pa.float32(),
    "double": pa.float64(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "smallint": pa.int16(),
    "tinyint": pa.int8(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
}
"""The functions that return one type, whatever their arguments."""

_AS_FIRST = frozenset(
    words(
        "lag lead first first_value last last_value any_value max min mode nth_value reverse sort_array "
        "array_sort array_distinct filter max_by min_by"
    )
)
"""The functions that return the type of their first argument."""


def _text_arguments(name: str, values: Values) -> Result | None:
    """Reads text arguments as `ARGUMENTS` says."""
    wanted = ARGUMENTS.get(name, "")
    changed = [
        to(value, kind) if value.is_text and (kind := _KINDS[wanted[at]]) is not None else value
        for at, value in enumerate(values[: len(wanted)])
    ]
    changed += values[len(wanted) :]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return None
    return Result(build.call(name, *(value.expression for value in changed)), RESULTS.get(name))


def _comparison(name: str, values: Values) -> Result | None:
    """`=`, `<` and similar, `IN`, `BETWEEN`: both sides are converted to their common type."""
    return _in_common(name, values, range(len(values)), pa.bool_())


def _alike(name: str, values: Values) -> Result | None:
    """Functions whose arguments all have one type, which is also the type of the result."""
    return _in_common(name, values, range(len(values)), None)


def _array(name: str, values: Values) -> Result | None:
    made = _in_common(name, values, range(len(values)), None)
    if made is None or made.type is None:
        return made
    return replace(made, type=pa.list_(pa.field("element", made.type)))


def _in_common(name: str, values: Values, alike: Sequence[int], kind: pa.DataType | None) -> Result | None:
    """A call whose arguments at `alike` get their common type, which is the result's if `kind` is None."""
    found = [own for at in alike if (own := values[at].type) is not None]
    if len(found) < len(alike) or not found:
        return None
    if len(set(found) - {pa.null()}) <= 1:
        return Result(None, kind or next((f for f in found if f != pa.null()), pa.null()))
    meant = coercion.common_of(found)
    if meant is None:
        return None
    if kind is not None and _engine_compares(found):
        return Result(None, kind)
    changed = [to(value, meant) if at in alike else value for at, value in enumerate(values)]
    return Result(build.call(name, *(value.expression for value in changed)), kind or meant)


def _engine_compares(kinds: Sequence[pa.DataType]) -> bool:
    """Whether the engine compares values of these types as Spark does: integers with decimals, or DOUBLE."""
    rest = {kind for kind in kinds if not coercion.is_integral(kind)}
    return rest == {pa.float64()} or all(map(coercion.is_decimal, rest))


def _if(name: str, values: Values) -> Result | None:
    return _in_common(name, values, (1, 2), None) if len(values) == 3 else None


def _when(name: str, values: Values) -> Result | None:
    """Condition, value, condition, value, …, then the value of ELSE."""
    places = [at for at in range(len(values)) if at % 2 == 1 or at == len(values) - 1]
    return _in_common(name, values, places, None)


_MADE_TEXT = frozenset({TIMESTAMP, TIMESTAMP_NTZ, pa.bool_(), pa.binary()})


def _concat(name: str, values: Values) -> Result | None:
    """Text, except for lists and for BINARY alone; times are converted to text here, because the engine would do it
    differently, and so is BINARY, of which it would make nothing.
    """
    kinds = {value.type for value in values}
    if None in kinds or any(map(pa.types.is_list, kinds)):
        return None
    if kinds == {pa.binary()}:
        return Result(None, pa.binary())
    changed = [to(v, pa.string()) if v.type in _MADE_TEXT else v for v in values]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return Result(None, pa.string())
    return Result(build.call(name, *(value.expression for value in changed)), pa.string())


def _concat_ws(name: str, values: Values) -> Result | None:
    """As `concat`, except for lists among its arguments."""
    changed = [to(v, pa.string()) if v.type in _MADE_TEXT - {pa.bool_()} else v for v in values]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return Result(None, pa.string())
    return Result(build.call(name, *(value.expression for value in changed)), pa.string())


def _pad(name: str, values: Values) -> Result | None:
    return padded(name, values, _text_arguments)


def _repeat(name: str, values: Values) -> Result | None:
    """Text, also of BINARY."""
    return with_text(name, values, _text_arguments)


def _nvl(name: str, values: Values) -> Result | None:
    """As `coalesce`: of BINARY the engine makes text."""
    made = _alike(name, values)
    if made is None or made.type != pa.binary():
        return made
    arguments = [value.expression for value in values]
    if made.expression is not None:
        arguments = list(made.expression.unresolved_function.arguments)
    return Result(build.call("coalesce", *arguments), pa.binary())


def _nvl2(name: str, values: Values) -> Result | None:  # noqa: ARG001
    made = _if("if", values)
    if made is None or made.expression is None:
        return made
    known, *branches = made.expression.unresolved_function.arguments
    return Result(build.call("if", build.call("isnotnull", known), *branches), made.type)


def _as_int(name: str, values: Values) -> Result | None:
    """Functions that count, returning BIGINT where Spark returns INT."""
    if len(values) != 2:
        return None
    return Result(build.cast(build.call(name, *(value.expression for value in values)), pa.int32()), pa.int32())


def _nullif(name: str, values: Values) -> Result | None:  # noqa: ARG001
    """`nullif(a, b)` has the type of `a`, whatever it is compared as."""
    if len(values) != 2:
        return None
    compared = _comparison("==", values)
    if compared is None or compared.expression is None:
        return None if compared is None else Result(None, values[0].type)
    return Result(build.call("if", compared.expression, build.null(), values[0].expression), values[0].type)


def _greatest(name: str, values: Values) -> Result | None:
    """Text does not yield here. Raises AnalysisError."""
    kinds = [value.type for value in values if value.type is not None]
    if any(map(coercion.is_text, kinds)) and any(map(coercion.is_numeric, kinds)):
        shown = column_name(build.call(name, *(value.expression for value in values)))
        told = "[" + ", ".join(f'"{type_to_ddl(kind)}"' for kind in kinds) + "]"
        raise AnalysisError.of(
            "DATATYPE_MISMATCH.DATA_DIFF_TYPES",
            f'Cannot resolve "{shown}" due to data type mismatch: Input to `{name}` should all be the same type, but '
            f"it's {told}.",
            sql_state="42K09",
            sqlExpr=f'"{shown}"',
            functionName=f"`{name}`",
            dataType=told,
        )
    return _alike(name, values)


def _sum(name: str, values: Values) -> Result | None:
    """BIGINT for integers; the sum of BIGINT itself may overflow."""
    kind = values[0].type
    if kind is None or len(values) != 1:
        return None
    if coercion.is_integral(kind):
        return Result(None, pa.int64())
    if coercion.is_decimal(kind):
        return Result(None, coercion.bounded(kind.precision + 10, kind.scale))
    if coercion.is_fraction(kind):
        return Result(None, pa.float64())
    return _text_arguments(name, values)


def checked_sum(values: Values) -> Result | None:
    """`sum(x)` of BIGINT, rewritten to raise on overflow; None for other types."""
    if len(values) != 1 or values[0].type != pa.int64():
        return None
    argument = values[0].expression
    nothing = build.call("==", build.call("count", argument), build.integer(0))
    return Result(
        unless_null(build.call("try_sum", argument), nothing, "try_add"), pa.int64(), build.call("sum", argument)
    )


def _average(name: str, values: Values) -> Result | None:
    kind = values[0].type
    if kind is not None and coercion.is_decimal(kind):
        return Result(None, coercion.bounded(kind.precision + 4, kind.scale + 4))
    return _text_arguments(name, values)


def _round(name: str, values: Values) -> Result | None:
    kind = values[0].type
    if kind is not None and coercion.is_integral(kind):
        return Result(None, kind)
    digits = numbers.digits_of(values[1].expression) if len(values) > 1 else 0
    if kind is not None and coercion.is_text(kind):
        values, kind = [to(values[0], pa.float64()), *values[1:]], pa.float64()
    if kind is not None and coercion.is_fraction(kind):
        if len(values) > 1 and values[1].type == pa.null():
            return Result(build.cast(build.null(), kind), kind)
        return Result(numbers.rounded(name, values[0].expression, kind, digits), kind)
    if kind is not None and coercion.is_decimal(kind):
        if digits is None or digits < 0:
            return None
        scale = min(kind.scale, digits)
        meant = coercion.bounded(kind.precision - kind.scale + 1 + scale, scale)
        return Result(build.cast(build.call(name, *(value.expression for value in values)), meant), meant)
    return _text_arguments(name, values)


def _up_or_down(name: str, values: Values) -> Result | None:
    """`ceil` and `floor`; to a number of digits, FLOAT and DOUBLE as decimals."""
    kind = values[0].type
    if len(values) != 2 or kind is None or not coercion.is_fraction(kind):
        return _text_arguments(name, values)
    return Result(build.call(name, numbers.as_decimal(values[0].expression, kind), values[1].expression), None)


def _decimal(name: str, values: Values) -> Result | None:  # noqa: ARG001
    meant = pa.decimal128(10, 0)
    return Result(to(values[0], meant).expression, meant) if len(values) == 1 and values[0].type is not None else None


def _substring(name: str, values: Values) -> Result | None:
    made = _text_arguments(name, values)
    kind = values[0].type if values else None
    if kind == pa.binary() and name == "right":
        return with_text(name, values, _text_arguments)
    if kind == pa.binary() and len(values) in (2, 3):
        return bytes_between(name, values)
    if made is None:
        return Result(None, kind) if kind == pa.string() else None
    return replace(made, type=kind)


def _window(name: str, values: Values) -> Result | None:
    """A time window, represented by its time."""
    kind = values[0].type
    if kind is None or not pa.types.is_struct(kind) or [field.name for field in kind] != ["start", "end"]:
        return None
    time = build.call("window_time", values[0].expression)
    return Result(build.call(name, time, *(value.expression for value in values[1:])), kind)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("+", "-", "*", "%", "mod", "pmod"), arithmetic),
    **dict.fromkeys(("&", "|", "^", "shiftleft", "shiftright", "shiftrightunsigned"), bitwise),
    **dict.fromkeys(("negative", "positive", "abs"), negation),
    **dict.fromkeys(("==", "=", "!=", "<>", "<", "<=", ">", ">=", "<=>", "in", "between"), _comparison),
    **dict.fromkeys(("ifnull", "nvl"), _nvl),
    **dict.fromkeys(("substring", "substr", "left", "right"), _substring),
    **dict.fromkeys(("round", "bround"), _round),
    **dict.fromkeys(("avg", "mean"), _average),
    "/": division,
    "array": _array,
    "array_join": array_join,
    "coalesce": _alike,
    "concat": _concat,
    "concat_ws": _concat_ws,
    "date_diff": _as_int,
    "datediff": _as_int,
    **dict.fromkeys(("ceil", "ceiling", "floor"), _up_or_down),
    "decimal": _decimal,
    "div": whole_division,
    "elt": elt,
    "greatest": _greatest,
    "if": _if,
    "least": _greatest,
    "nullif": _nullif,
    "lpad": _pad,
    "nvl2": _nvl2,
    "overlay": overlay,
    "regexp_count": _as_int,
    "repeat": _repeat,
    "rpad": _pad,
    "sum": _sum,
    "when": _when,
    "window": _window,
}
"""The rules by lower-case name."""


def _moved(name: str, values: Values) -> Result | None:  # noqa: ARG001
    """`timestampadd(DAY, n, ts)`, by the calendar."""
    if len(values) != 3 or values[2].type != TIMESTAMP or not clocks.clocks_change():
        return None
    days = _DAYS.get(_unit(values[0]))
    if days is None:
        return None
    count = build.call("*", values[1].expression, build.integer(days)) if days > 1 else values[1].expression
    interval = build.call("make_dt_interval", build.cast(count, pa.int32()))
    timestamp = values[2].expression
    return Result(clocks.plus_days("+", timestamp, interval, timestamp), TIMESTAMP)


def _elapsed(name: str, values: Values) -> Result | None:
    """`timestampdiff(unit, a, b)`, by the clock."""
    if len(values) != 3 or {value.type for value in values[1:]} != {TIMESTAMP} or not clocks.clocks_change():
        return None
    return Result(build.call(name, values[0].expression, *(clocks.local(v.expression) for v in values[1:])), pa.int64())


def _try_add(name: str, values: Values) -> Result | None:
    """A TIMESTAMP and an interval: the engine's result has no zone, and overflow is out of reach."""
    if len(values) != 2 or values[0].type != TIMESTAMP or values[1].type not in (DAYS, TIME, MONTHS):
        return None
    sign = "+" if name == "try_add" else "-"
    made = arithmetic(sign, values)
    if made is not None and made.expression is not None:
        return made
    return Result(build.call(sign, values[0].expression, values[1].expression), TIMESTAMP)


def _unit(value: Typed) -> str:
    """The unit that an argument names, which is a string in plans and a bare word in SQL text."""
    return (string_of(value.expression) or value.expression.expression_string.expression).upper()


_DAYS = {"DAY": 1, "DAYOFYEAR": 1, "WEEK": 7}

OUTSIDE_UTC: Mapping[str, Rule] = {
    **dict.fromkeys(("timestampadd", "dateadd", "date_add"), _moved),
    **dict.fromkeys(("timestampdiff", "datediff", "date_diff"), _elapsed),
    **dict.fromkeys(("try_add", "try_subtract"), _try_add),
}
"""Further rules for sessions that are not in UTC; these come first."""

_OVER_ELEMENTS = words("transform filter exists forall any")


def lambda_types(name: str, before: Sequence[pa.DataType | None]) -> Sequence[pa.DataType | None]:
    """The known types of the variables of a lambda that is an argument after those with the types `before`."""
    if name in _OVER_ELEMENTS and len(before) == 1 and before[0] is not None and pa.types.is_list(before[0]):
        return (before[0].value_type, pa.int32())
    return ()


NAMES = frozenset({*RULES, *ARGUMENTS, avro.NAME, json.NAME})
"""The functions that may have to change."""


def has_rule(name: str) -> bool:
    """Whether the types of a call's arguments matter."""
    return name in RULES or (not clocks.is_utc() and name in OUTSIDE_UTC)


def may_change(name: str) -> bool:
    """Whether a call of that function may have to change."""
    return name in NAMES or (not clocks.is_utc() and name in OUTSIDE_UTC)


def decide(name: str, values: Values) -> Result | None:
    """The replacement for a call, and its type; None if nothing is known about it."""
    if not clocks.is_utc() and name in OUTSIDE_UTC and (made := OUTSIDE_UTC[name](name, values)) is not None:
        return made
    rule = RULES.get(name)
    given = values
    if name in DIVISIONS:
        values = null_first(given)
    made = rule(name, values) if rule is not None and values else None
    if values is not given and (made is None or made.expression is None):
        call = build.call(name, *(value.expression for value in values))
        made = Result(call, None if made is None else made.type)
    if made is None and name in ARGUMENTS:
        made = _text_arguments(name, values)
    if made is not None:
        return made
    if name in RESULTS:
        return Result(None, RESULTS[name])
    return Result(None, values[0].type) if name in _AS_FIRST and values else None
