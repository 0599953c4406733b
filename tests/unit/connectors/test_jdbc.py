"""JDBC's URLs, ranges of partitions and conditions, without a database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import types as spark
from pyspark.sql.datasource import EqualNullSafe, EqualTo, Filter, GreaterThan, In, IsNull, Not, StringContains

from riacho.connectors.jdbc import ddl, filters, options, partitions, url, values
from riacho.connectors.jdbc.errors import driver_error
from riacho.connectors.jdbc.postgres import PostgresColumn
from riacho.connectors.jdbc.targets import literal
from riacho.errors import ArithmeticFailure, DatabaseError, ParseError, SparkGeneralError, UnsupportedOperationError

URLS = {
    "jdbc:postgresql://h1:5433,h2/db?user=me&password=p%40ss%2Fw&sslmode=require": (
        "postgresql://me:p%40ss%2Fw@h1:5433,h2:5432/db?sslmode=require&connect_timeout=10"
    ),
    "jdbc:postgresql:db": "postgresql://localhost:5432/db?connect_timeout=10",
    "jdbc:postgresql://[::1]:5433/a%20b": "postgresql://[::1]:5433/a%20b?connect_timeout=10",
    "jdbc:postgresql://h/db?ssl=true": "postgresql://h:5432/db?sslmode=verify-full&connect_timeout=10",
    "jdbc:postgresql://h/db?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory": (
        "postgresql://h:5432/db?sslmode=require&connect_timeout=10"
    ),
    "jdbc:postgresql://h/db?currentSchema=my%20s,public&ApplicationName=x": (
        "postgresql://h:5432/db?application_name=x&options=-c%20search_path%3Dmy%5C%20s%2Cpublic&connect_timeout=10"
    ),
    "jdbc:postgresql://a,b/db?targetServerType=preferSecondary&loadBalanceHosts=true&tcpKeepAlive=true": (
        "postgresql://a:5432,b:5432/db?target_session_attrs=prefer-standby&"
        "load_balance_hosts=random&keepalives=1&connect_timeout=10"
    ),
    "jdbc:postgresql://h/db?rewriteBatchedInserts=true&prepareThreshold=0": "postgresql://h:5432/db?connect_timeout=10",
    "jdbc:sqlite:/path/to.db": "/path/to.db",
    "jdbc:sqlite::memory:": ":memory:",
}


@pytest.mark.parametrize("text", URLS)
def test_a_url_means_the_same_to_libpq(text: str) -> None:
    found = url.address(text, None, {})
    assert found.uri == URLS[text]
    assert found.uri not in repr(found)


def test_the_url_goes_before_properties() -> None:
    found = url.address("jdbc:postgresql://h/db?user=a", None, {"User": "b", "password": "p"})
    assert found.uri == "postgresql://a:p@h:5432/db?connect_timeout=10"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("postgresql://h/db", DatabaseError),
        ("jdbc:nothing:x", DatabaseError),
        ("jdbc:postgresql://h:port/db?password=hunter2", DatabaseError),
        ("jdbc:mysql://h/db?password=hunter2", UnsupportedOperationError),
        ("jdbc:postgresql://h/db?socketFactory=a.B&password=hunter2", UnsupportedOperationError),
    ],
)
def test_what_is_no_url_of_ours(text: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        url.address(text, None, {})
    assert "hunter2" not in str(caught.value)


def test_nothing_shows_what_was_given() -> None:
    given = {"url": "jdbc:postgresql://h/db?password=hunter2", "dbtable": "t", "password": "hunter2", "foo": "hunter2"}
    assert "hunter2" not in repr(options.checked(given))


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.integers(2, 50))
def test_ranges_are_spread_over_the_bounds(lower: int, width: int, count: int) -> None:
    start, stride = partitions.strides(lower, lower + width, min(count, width))
    assert stride >= 1
    assert lower <= start <= lower + width


def test_ranges_are_those_of_spark() -> None:
    assert partitions.strides(0, 4, 2) == (0, 2)
    assert partitions.strides(1, 20, 3) == (2, 6)
    assert partitions.strides(0, 10, 4) == (1, 2)
    assert partitions.strides(-(2**63), 2**63 - 1, 3)[1] == 6148914691236517205


TEXT = PostgresColumn("a b", "text", 0, spark.StringType())
UUID = PostgresColumn("u", "uuid", 0, spark.StringType())
NUMBER = PostgresColumn("n", "numeric", 0, spark.DecimalType(10, 2))
ARRAY = PostgresColumn("x", "int4", 1, spark.ArrayType(spark.IntegerType()))
COLUMNS = {column.name: column for column in (TEXT, UUID, NUMBER, ARRAY)}
SENT: tuple[tuple[Filter, str | None], ...] = (
    (EqualTo(("a b",), "it's"), "(\"a b\" = 'it''s')"),
    (Not(EqualTo(("a b",), "x")), '(NOT ("a b" COLLATE "C" = \'x\'))'),
    (GreaterThan(("a b",), "x"), '("a b" COLLATE "C" > \'x\')'),
    (StringContains(("a b",), "5%_\\"), '("a b" COLLATE "C" LIKE \'%5\\%\\_\\\\%\')'),
    (EqualTo(("u",), "x"), '("u"::text COLLATE "C" = \'x\')'),
    (EqualNullSafe(("n",), Decimal("1.50")), '("n" IS NOT NULL AND "n" = 1.50)'),
    (Not(EqualNullSafe(("n",), 1)), '(NOT ("n" IS NOT NULL AND "n" = 1))'),
    (In(("n",), (1, None)), '("n" IN (1))'),
    (Not(In(("n",), (1, None))), None),
    (IsNull(("x",)), '("x" IS NULL)'),
    (EqualTo(("x",), [1]), None),
    (EqualTo(("n",), "text"), None),
    (EqualTo(("a b", "c"), "x"), None),
    (EqualTo(("a b",), "a\0"), None),
)


@pytest.mark.parametrize(("given_filter", "expected"), SENT, ids=str)
def test_what_is_sent_of_a_filter(given_filter: Filter, expected: str | None) -> None:
    assert filters.condition([given_filter], COLUMNS.get) == expected


def test_columns_in_ddl() -> None:
    text = "a INT, `b c`: decimal(10, 2) NOT NULL COMMENT 'x, y', d array<string>, e varchar(3)"
    shown = [(field.name, field.dataType.simpleString(), field.nullable) for field in ddl.fields(text)]
    assert shown == [("a", "int", True), ("b c", "decimal(10,2)", False), ("d", "array<string>", True),
                     ("e", "varchar(3)", True)]  # fmt: skip
    for wrong in ("a", "a strin", "a int b", "a decimal(x)", "a char", "a int,"):
        with pytest.raises(ParseError):
            ddl.fields(wrong)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-(10**40), max_value=10**40))
def test_numbers_are_rounded_or_refused_and_never_others(number: Decimal) -> None:
    arrow = pa.decimal128(38, 18)
    rounded = Decimal(number).quantize(Decimal(1).scaleb(-18), "ROUND_HALF_UP", values._EXACT)
    if len(rounded.as_tuple().digits) > 38:
        with pytest.raises(ArithmeticFailure):
            values.decimals(pa.array([f"{number:f}"]), arrow)
    else:
        assert values.decimals(pa.array([f"{number:f}", None]), arrow).to_pylist() == [rounded, None]


def test_what_is_no_number_is_an_error() -> None:
    for text in ("NaN", "Infinity", "x"):
        with pytest.raises(SparkGeneralError, match=f"Bad value for type BigDecimal : {text}"):
            values.decimals(pa.array([text]), pa.decimal128(38, 18))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[1, None], [2, 3]], '{{"1",NULL},{"2","3"}}'),
        ([['a"b\\']], '{{"a\\"b\\\\"}}'),
        ([[True, b"\x01"]], '{{t,"\\\\x01"}}'),
    ],
)
def test_arrays_as_text(value: Any, expected: str) -> None:
    assert literal(value) == expected


def test_errors_of_drivers_lose_secrets_and_places() -> None:
    adbc = pytest.importorskip("adbc_driver_manager")
    text = (
        "INVALID_ARGUMENT: [libpq] Failed to execute query: could not begin COPY: ERROR:  no hunter2 here\n"
        "LINE 1: COPY (select)\n              ^\nDETAIL:  more\n\nQuery was: COPY (select). SQLSTATE: 42601"
    )
    raised = adbc.ProgrammingError(text, status_code=adbc.AdbcStatusCode.INVALID_ARGUMENT, sqlstate="42601")
    found = driver_error(raised, ("hunter2",))
    assert found is not None
    assert found.message == "ERROR: no *********(redacted) here\n  Detail: more"
    assert found.is_syntax
    assert driver_error(ValueError("x"), ()) is None
