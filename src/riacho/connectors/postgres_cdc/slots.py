"""The replication slot: PostgreSQL keeps its log from there on, and tells the changes that follow.

A slot stands at a position. Looking into it (`peek`) changes nothing, so the same range gives the same changes as
often as one asks; `advance` moves it on, and what lies before is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from riacho.connectors.postgres.address import PgAddress
from riacho.connectors.postgres.client import connection, literal, quoted
from riacho.connectors.postgres_cdc.offsets import lsn_of, lsn_text
from riacho.connectors.postgres_cdc.pgoutput import Positions
from riacho.errors import IllegalStateError

_STATE: Final = """
SELECT confirmed_flush_lsn::text, restart_lsn::text, wal_status, active_pid, plugin, database = current_database()
FROM pg_replication_slots WHERE slot_name = %s
"""
_NEXT: Final = """
SELECT max(lsn)::text
FROM pg_logical_slot_peek_binary_changes(%s, NULL, 1, 'proto_version', '1', 'publication_names', %s)
"""
_PEEK: Final = """
SELECT pg_lsn_send(lsn), data
FROM pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, NULL, 'proto_version', '1', 'publication_names', %s)
"""
_MESSAGES: Final = 20_000
_BYTES: Final = 8 << 20
"""About so much is taken from the server at a time."""


@dataclass(frozen=True)
class NewSlot:
    """A slot that was just made, and the moment it stands at. See `offsets.SnapshotPosition`."""

    lsn: int
    low: int
    visible: str
    taken_us: int


@dataclass(frozen=True)
class SlotState:
    """Everything committed before `confirmed` is done."""

    confirmed: int
    restart: int


def state(open_connection: Any, slot: str) -> SlotState | None:
    """Where the slot stands; None if there is none. Raises IllegalStateError for one that is of no use."""
    row = open_connection.execute(_STATE, (slot,)).fetchone()
    if row is None:
        return None
    confirmed, restart, status, _, plugin, here = row
    if status == "lost" or (restart is None and plugin is not None):
        raise _lost(
            slot,
            "PostgreSQL has removed the log that it kept for it, for it would have been more than "
            "max_slot_wal_keep_size allows",
        )
    if plugin != "pgoutput" or not here:
        what = f"the plugin {plugin}" if here else "another database"
        raise IllegalStateError(
            f"The replication slot {slot} is of {what}: give the stream a slot of its own with the option `slot`"
        )
    return SlotState(lsn_of(confirmed or restart), lsn_of(restart))


def checked(open_connection: Any, slot: str, start: int) -> SlotState:
    """The slot, which still has everything from `start` on. Raises IllegalStateError, with the way out, if not."""
    found = state(open_connection, slot)
    if found is None:
        raise _lost(
            slot, "it is not there any more: somebody has dropped it, or the server is another one (a replica, say)"
        )
    if found.confirmed > start:
        raise _lost(
            slot,
            f"it stands at {lsn_text(found.confirmed)}, and the checkpoint at {lsn_text(start)}: somebody else has "
            "read from it, or made it anew",
        )
    return found


def _lost(slot: str, why: str) -> IllegalStateError:
    return IllegalStateError(
        f"The replication slot {slot} is lost to this stream: {why}. Changes since then cannot be read. The way out: "
        f"start anew with a snapshot. Drop the slot if it is there, SELECT pg_drop_replication_slot({literal(slot)}), "
        "delete the stream's checkpoint (or name another), and empty the target or merge into it, for all rows come "
        "again. To go on without what was lost, use a new checkpoint with snapshotMode = never"
    )


def flushed(open_connection: Any) -> int:
    """The end of the log."""
    return lsn_of(open_connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()[0])


def next_end(open_connection: Any, slot: str, publication: str) -> int | None:
    """Where the first transaction of the slot ends; None if there is none."""
    found = open_connection.execute(_NEXT, (slot, quoted(publication))).fetchone()[0]
    return None if found is None else lsn_of(found)


def peek(open_connection: Any, slot: str, publication: str, end: int) -> Iterator[tuple[Positions, Sequence[bytes]]]:
    """The messages of the slot up to `end`, with their places in the log, some megabytes at a time."""
    with (
        open_connection.transaction(),
        open_connection.cursor(name="riacho_changes", scrollable=False) as cursor,
    ):
        cursor.execute(_PEEK, (slot, lsn_text(end), quoted(publication)), binary=True)
        count = 1000
        while rows := cursor.fetchmany(count):
            places, messages = zip(*rows, strict=True)
            lsns = np.frombuffer(b"".join(places), ">i8").astype(np.int64)
            size = sum(map(len, messages)) // len(rows) + 1
            count = max(min(_BYTES // size, _MESSAGES), 1)
            yield lsns, messages


def advance(open_connection: Any, slot: str, to: int) -> None:
    """Have the slot stand at `to`, if it does not stand there or beyond."""
    query = "SELECT confirmed_flush_lsn < %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"
    row = open_connection.execute(query, (lsn_text(to), slot)).fetchone()
    if row is not None and row[0]:
        open_connection.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", (slot, lsn_text(to)))


def create(address: PgAddress, slot: str) -> NewSlot:
    """Make the slot, and note the moment it stands at: which transactions are before it, and where the log begins.

    Waits for all transactions that are open now, for a minute at most.
    """
    with connection(address, replication="database") as walsender:
        result = walsender.pgconn.exec_(
            f"CREATE_REPLICATION_SLOT {quoted(slot)} LOGICAL pgoutput EXPORT_SNAPSHOT".encode()
        )
        if result.status != 2:  # PGRES_TUPLES_OK
            raise _refused(result)
        lsn, snapshot = (result.get_value(0, column).decode() for column in (1, 2))
        # The snapshot is there as long as that connection is.
        with connection(address) as reader:
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute(f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
            query = "SELECT pg_current_snapshot()::text, (extract(epoch FROM now()) * 1000000)::bigint"
            visible, taken_us = reader.execute(query).fetchone()
            found = state(reader, slot)
    assert found is not None
    return NewSlot(lsn_of(lsn), found.restart, visible, taken_us)


def _refused(result: Any) -> Exception:
    from psycopg import errors

    sqlstate = (result.error_field(ord("C")) or b"").decode()
    said = result.error_message.decode(errors="replace").strip()
    try:
        kind = errors.lookup(sqlstate)
    except KeyError:
        kind = errors.DatabaseError
    return kind(said)


def drop(open_connection: Any, slot: str) -> None:
    """Remove the slot, if it is there."""
    query = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
    open_connection.execute(query, (slot,))
