"""Whole numbers that do not fit: Spark's error, and an expression that raises it."""

from __future__ import annotations

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


def unless_null(checked: pb.Expression, is_null: pb.Expression, alternative: str) -> pb.Expression:
    """What gives null on overflow, made to raise, unless it `is_null` for another reason.

    The error's text is completed where the engine's errors are translated.
    """
    error = build.call("raise_error", build.text(f"{OVERFLOW} overflow. Use '{alternative}'"))
    return build.call("coalesce", checked, build.call("if", is_null, build.null(), error))
