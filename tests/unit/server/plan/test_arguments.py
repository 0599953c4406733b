"""Arguments put into the text of a statement."""

from __future__ import annotations

import pytest

from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.plan.arguments import with_arguments

Literal = pb.Expression.Literal


def named(**values: Literal) -> pb.SQL:
    return pb.SQL(named_arguments={name: pb.Expression(literal=value) for name, value in values.items()})


def placed(*values: Literal) -> pb.SQL:
    return pb.SQL(pos_arguments=[pb.Expression(literal=value) for value in values])


def test_named_ones() -> None:
    given = named(a=Literal(integer=1), b=Literal(string="it's"))
    text = "UPDATE t SET s=:b, x = v:a, y = ':a' WHERE i=:a -- :a"
    assert with_arguments(text, given) == ("UPDATE t SET s='it\\'s', x = v:a, y = ':a' WHERE i=CAST(1 AS INT) -- :a")


def test_placed_ones_of_every_kind() -> None:
    given = placed(
        Literal(decimal=Literal.Decimal(value="-1.50")),
        Literal(date=19724),
        Literal(timestamp=1),
        Literal(double=float("nan")),
        Literal(binary=b"\x00a"),
    )
    assert with_arguments("VALUES (?, ?, ?, ?, ?, '?')", given) == (
        "VALUES (-1.50BD, DATE'2024-01-02', TIMESTAMP'1970-01-01 00:00:00.000001Z', CAST('nan' AS DOUBLE), X'0061', "
        "'?')"
    )


def test_without_arguments_nothing_is_touched() -> None:
    text = "DELETE FROM t WHERE id = :x"
    assert with_arguments(text, pb.SQL()) is text


def test_what_is_missing_or_cannot_be_written() -> None:
    with pytest.raises(AnalysisError, match="UNBOUND_SQL_PARAMETER.*: x"):
        with_arguments("DELETE FROM t WHERE id = :x", named(y=Literal(integer=1)))
    with pytest.raises(UnsupportedOperationError, match="calendar_interval"):
        with_arguments("DELETE FROM t WHERE id = :x", named(x=Literal(calendar_interval=Literal.CalendarInterval())))
