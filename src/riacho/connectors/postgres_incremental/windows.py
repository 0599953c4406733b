"""Which rows a batch has.

A cursor alone does not do. A transaction takes its `updated_at` (or its number from a sequence) when it begins, and is
seen when it commits: a reader that has gone on meanwhile never comes back for it. And rows with the same cursor may
come in two batches.

So a *window* is a range of transaction numbers: `[since, upto)`, where `upto` is the oldest transaction that is still
open (`pg_snapshot_xmin`). Everything in it is decided, and nothing can appear in it any more. Each version of a row was
written by one transaction (`xmin`), so it is in one window and comes once. The cursor only says where to look: a window
reads rows from `low` on, by the index of the cursor, and goes through them page by page in the order of cursor and key.

`low` is what the cursor can have been of rows that were not decided when the last window was made: the beginning of the
oldest transaction that was open then, or the newest cursor, less the lag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from riacho.connectors.postgres.catalog import PgColumn, PgTable
from riacho.connectors.postgres.client import literal, quoted
from riacho.connectors.postgres.keys import PLACE, RowKey, key_of
from riacho.connectors.postgres_incremental.settings import IncrementalSettings
from riacho.errors import AnalysisError, IllegalArgumentError, IllegalStateError

_WRAP: Final = 1 << 32
"""The transaction numbers that rows carry are counted modulo this."""
_TIMES: Final = ("timestamp", "timestamptz", "date")
_NUMBERS: Final = ("int2", "int4", "int8", "numeric", "float4", "float8")
_LEAST: Final = {"int2": -(1 << 15), "int4": -(1 << 31), "int8": -(1 << 63)}
_DEFAULT_MS: Final = 600_000
_DEFAULT_COUNT: Final = 10_000
_OPEN: Final = """
SELECT least(
  (SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()),
  (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database()), now())
"""


@dataclass(frozen=True)
class Window:
    """What has been read: all of windows before `since`; of the one up to `upto`, if it is begun, the rows up to `at`.

    `low`: where the cursor begins in the window after `since`. Texts are empty for none; `since` is 0 at the beginning.
    `file`: of a table without a key, where its rows lie while a window is begun, for `at` names a place there.
    """

    since: int = 0
    low: str = ""
    upto: int = 0
    at: tuple[str, ...] = ()
    next_low: str = ""
    file: int = 0

    def json(self) -> dict[str, Any]:
        return {
            "since": self.since,
            "low": self.low,
            "upto": self.upto,
            "at": list(self.at),
            "nextLow": self.next_low,
            "file": self.file,
        }

    @classmethod
    def of(cls, offset: Mapping[str, Any]) -> Window:
        at, file = tuple(offset["at"]), offset.get("file", 0)
        return cls(offset["since"], offset["low"], offset["upto"], at, offset["nextLow"], file)


@dataclass(frozen=True)
class TableCursor:
    """The column that a table is read by, and the order of rows: by it, and by the key where it is the same."""

    table: PgTable
    column: PgColumn
    type: str
    order: RowKey
    lag: str
    start_at: str | None

    @classmethod
    def of(cls, table: PgTable, settings: IncrementalSettings, type: str | None) -> TableCursor:
        """Raises AnalysisError for a column that the table lacks, IllegalArgumentError for a lag that is none."""
        column = next((column for column in table.columns if column.name == settings.cursor), None)
        if column is None or type is None:
            names = ", ".join(column.name for column in table.columns)
            raise AnalysisError(
                f"The table {table.full_name} has no column {settings.cursor} (option cursorColumn); it has {names}"
            )
        if table.is_partitioned:
            key = key_of(table.key, table.key_types)
            if key == PLACE:
                raise AnalysisError(
                    f"The partitioned table {table.full_name} has no primary key, by which rows with the same "
                    f"{settings.cursor} could be told apart. Read its partitions one by one"
                )
        else:
            key = key_of(table.key, table.key_types)
        order = RowKey((quoted(column.name), *key.columns), (type, *key.types))
        return cls(table, column, type, order, _lag(column, settings), settings.start_at)

    @property
    def is_time(self) -> bool:
        return self.column.type.name in _TIMES

    @property
    def _low_type(self) -> str:
        """What is less by the lag may have more digits than the column."""
        return "numeric" if self.column.type.name == "numeric" else self.type

    def condition(self, window: Window, upto: int, next_low: str, to: Sequence[str]) -> str:
        """Rows of the window from `window.since` to `upto`, behind `window.at`, up to and with `to`.

        The first window has all rows but those that may be undecided: of transactions from `upto` on, and with a cursor
        from `next_low` on, where the next window looks for them.
        """
        column = quoted(self.column.name)
        conditions = [f"{column} IS NOT NULL"]
        number = "xmin::text::bigint"
        if window.since:
            behind = f"({number} - {window.since % _WRAP} + {_WRAP}) % {_WRAP}"
            conditions.append(f"{behind} < {upto - window.since}")
        else:
            following = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            decided = f"({number} - {upto % _WRAP} + {_WRAP}) % {_WRAP} >= {following} - {upto}"
            old = f" OR {column} < {literal(next_low)}::{self._low_type}" if next_low else ""
            conditions.append(f"({decided}{old})")
        if window.low:
            conditions.append(f"{column} >= {literal(window.low)}::{self._low_type}")
        if self.start_at is not None:
            conditions.append(f"{column} >= {literal(self.start_at)}::{self.type}")
        if window.at:
            conditions.append(self.order.compared(">", window.at))
        if to:
            conditions.append(self.order.compared("<=", to))
        return " AND ".join(conditions)

    def file(self, connection: Any) -> int:
        """Where the rows lie of a table that has no key; 0 for others."""
        if PLACE.columns[0] not in self.order.columns:
            return 0
        query = "SELECT coalesce(pg_relation_filenode(%s::oid), 0)::bigint"
        return int(connection.execute(query, (self.table.oid,)).fetchone()[0])

    def check_places(self, connection: Any, window: Window) -> None:
        """Raises IllegalStateError if the rows lie elsewhere than when the window was begun."""
        if window.at and window.file and self.file(connection) != window.file:
            raise IllegalStateError(
                f"The table {self.table.full_name} has no primary key, and it was written anew (VACUUM FULL, CLUSTER, "
                "TRUNCATE or ALTER TABLE) while its rows were read in several batches: which were read cannot be told "
                "any more. Begin anew with another checkpoint, and with the option startAt or an empty target; a "
                "primary key keeps this from happening"
            )

    def last(self, connection: Any, condition: str, rows: int) -> tuple[int, tuple[str, ...]] | None:
        """How many of the next `rows` rows there are, and where the last is; None if there is none."""
        order = self.order
        row = connection.execute(
            f"SELECT n, k FROM (SELECT row_number() OVER (ORDER BY {order.sql}) AS n, "  # noqa: S608
            f"ARRAY[{', '.join(order.texts)}] AS k FROM {self.table.sql} WHERE {condition} "
            f"ORDER BY {order.sql} LIMIT {rows}) s ORDER BY n DESC LIMIT 1"
        ).fetchone()
        return None if row is None else (row[0], tuple(row[1]))

    def next_low(self, connection: Any) -> str:
        """Where the cursor begins of what is not decided now; empty if the table has no rows."""
        column = quoted(self.column.name)
        newest = f"(SELECT max({column}) FROM {self.table.sql})"  # noqa: S608
        if self.is_time:
            kind = self.type
            open_since = f"({_OPEN.strip()})::{'timestamptz' if kind.endswith('with time zone') else kind}"
            query = f"SELECT (least({open_since}, {newest}) - {literal(self.lag)}::interval)::{kind}::text"
        elif (least := _LEAST.get(self.column.type.name)) is not None:
            lower = f"greatest(newest - {literal(self.lag)}::numeric, {least})"
            query = f"SELECT CASE WHEN newest IS NOT NULL THEN {lower} END::text FROM (SELECT {newest}) s(newest)"  # noqa: S608
        else:  # behind infinity, and what is no number, there is nothing that grows
            finite = f"(SELECT max({column}) FROM {self.table.sql} WHERE {column} < 'Infinity')"  # noqa: S608
            query = f"SELECT ({finite} - {literal(self.lag)}::numeric)::text"
        found = connection.execute(query).fetchone()[0]
        return found or ""


def _lag(column: PgColumn, settings: IncrementalSettings) -> str:
    """As SQL reads it: an interval, or a number."""
    if column.type.name in _TIMES:
        return f"{_DEFAULT_MS if settings.lag_ms is None else settings.lag_ms} milliseconds"
    if column.type.name in _NUMBERS:
        if settings.lag is not None and not settings.lag.strip().isdigit():
            raise IllegalArgumentError(
                f"Invalid value '{settings.lag}' for option 'lag', must be a number, as the cursor {column.name} is"
            )
        return settings.lag or str(_DEFAULT_COUNT)
    raise IllegalArgumentError(
        f"Invalid value '{column.name}' for option 'cursorColumn', must be a column of numbers, dates or timestamps: "
        f"it is {column.type.name}"
    )


def oldest_open(connection: Any) -> int:
    """The number of the oldest transaction that is open, of the next one if there is none."""
    found: int = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()[0]
    return found


def next_window(connection: Any, cursor: TableCursor, start: Window, rows: int, until: int | None) -> Window:
    """Where the next batch ends; `start` if there is nothing to read. Transactions from `until` on are not read."""
    window = start
    if not window.upto:
        if _upto(connection, until) <= start.since:
            return start
        # In this order: who is open when the numbers are looked at began after `next_low`, or was seen by it.
        next_low = cursor.next_low(connection)
        file = cursor.file(connection)
        window = replace(start, upto=_upto(connection, until), next_low=next_low, file=file)
    cursor.check_places(connection, window)
    condition = cursor.condition(window, window.upto, window.next_low, ())
    found = cursor.last(connection, condition, rows)
    if found is None:
        return start if not start.upto else _done(window)
    count, at = found
    return _done(window) if count < rows else replace(window, at=at)


def _upto(connection: Any, until: int | None) -> int:
    oldest = oldest_open(connection)
    return oldest if until is None else min(oldest, until)


def _done(window: Window) -> Window:
    return Window(since=window.upto, low=window.next_low or window.low)


def between(cursor: TableCursor, start: Window, end: Window) -> tuple[str, tuple[str, ...]]:
    """The condition of a batch's rows, without where it begins, and where that is."""
    upto, next_low = (end.upto, end.next_low) if end.upto else (end.since, end.low)
    return cursor.condition(replace(start, at=()), upto, next_low, end.at), start.at
