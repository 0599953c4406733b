"""Whole numbers that do not fit: Spark's error, and an expression that raises it."""

from __future__ import annotations

import pyarrow as pa

from riacho.errors import ArithmeticFailure
from riacho.protos import pb
from riacho.server.plan import build

OVERFLOW = "[ARITHMETIC_OVERFLOW]"


def overflow(alternative: str) -> ArithmeticFailure:
    """The error for an overflow. `alternative`: the function that gives null instead, if there is one."""
    hint = f" Use '{alternative}' to tolerate overflow and return NULL instead." if alternative else ""
    return ArithmeticFailure.of(
        "ARITHMETIC_OVERFLOW",
        f'overflow.{hint} If necessary set "spark.sql.ansi.enabled" to "false" to bypass this error.',
        sql_state="22003",
        message="overflow",
        alternative=hint,
        config='"spark.sql.ansi.enabled"',
    )


def checked_sum(value: pb.Expression) -> pb.Expression:
    """The sum of whole numbers as BIGINT, which raises if it does not fit.

    The engine's `sum` is fast and wraps around; its `try_sum` does not, and is several times slower where there are
    many groups. So the upper and the lower halves of the numbers are added as well: neither sum can wrap for fewer than
    two billion rows, and together they tell whether the whole one did. For the rows of one micro-batch.
    """
    number = build.cast(value, pa.int64())
    half = build.integer(32)
    upper = build.call("sum", build.call("shiftright", number, half))
    lower = build.call("sum", build.call("&", number, build.integer(0xFFFFFFFF)))
    top = build.call("+", upper, build.call("shiftright", lower, half))
    least, most = build.integer(-(2**31)), build.integer(2**31 - 1)
    fits = build.call("and", build.call(">=", top, least), build.call("<=", top, most))
    total = build.call("sum", number)
    return unless_null(build.call("if", fits, total, build.null()), build.call("isnull", upper), "try_add")


def unless_null(checked: pb.Expression, is_null: pb.Expression, alternative: str) -> pb.Expression:
    """What gives null on overflow, made to raise, unless it `is_null` for another reason.

    The error's text is completed where the engine's errors are translated.
    """
    error = build.call("raise_error", build.text(f"{OVERFLOW} overflow. Use '{alternative}'"))
    return build.call("coalesce", checked, build.call("if", is_null, build.null(), error))
