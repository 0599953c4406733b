"""Where a change stream stands, as the checkpoint keeps it.

    new ─► slot ─► snapshot … snapshot ─► changes … changes

`new` knows nothing. `slot` says that the slot may be made now: it is logged before the slot is made, so that a slot
that is there when the stream goes on from it is one whose snapshot nobody can read any more, and not another's.
`snapshot` holds what a reader must know to go on with the snapshot where it was cut off. `changes` is a position in the
log: everything that was committed before it has been delivered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from riacho.connectors.postgres.catalog import TablePart

NEW: Final[Mapping[str, Any]] = {"phase": "new"}
SLOT: Final[Mapping[str, Any]] = {"phase": "slot"}


def lsn_text(lsn: int) -> str:
    """A position as PostgreSQL writes it: `0/16B3748`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_of(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


@dataclass(frozen=True)
class LogPosition:
    """All transactions that were committed before `lsn` have been delivered."""

    lsn: int

    def json(self) -> dict[str, Any]:
        return {"phase": "changes", "lsn": lsn_text(self.lsn)}


@dataclass(frozen=True)
class SnapshotPosition:
    """Within the snapshot: the rows of all parts before `part` have been read, and of that those up to `after`.

    `visible`: the transactions whose rows belong to the snapshot, as `pg_snapshot` writes them; None for whatever is
    there now. `lsn`: where the changes begin that it lacks. `low`: no change in the log after it is before this
    position; rows of the snapshot carry it, so that they are older than all changes. `taken_us`: when it was taken.
    `after`: the key of the last row, or the number of the last block of a table without a key.
    """

    visible: str | None
    lsn: int
    low: int
    taken_us: int
    parts: Sequence[TablePart]
    part: int = 0
    after: Sequence[str] | int | None = None

    @property
    def is_done(self) -> bool:
        return self.part >= len(self.parts)

    def at(self, part: int, after: Sequence[str] | int | None) -> SnapshotPosition:
        return replace(self, part=part, after=after)

    def json(self) -> dict[str, Any]:
        return {
            "phase": "snapshot",
            "lsn": lsn_text(self.lsn),
            "low": lsn_text(self.low),
            "visible": self.visible or "",
            "taken": self.taken_us,
            "parts": [[part.table, part.schema, part.name, part.file] for part in self.parts],
            "part": self.part,
            "after": [] if self.after is None else [self.after] if isinstance(self.after, int) else list(self.after),
        }


def read(offset: Mapping[str, Any]) -> SnapshotPosition | LogPosition | None:
    """What an offset says; None for `new` and `slot`."""
    if offset["phase"] == "changes":
        return LogPosition(lsn_of(offset["lsn"]))
    if offset["phase"] != "snapshot":
        return None
    after: list[Any] = offset["after"]
    return SnapshotPosition(
        visible=offset["visible"] or None,
        lsn=lsn_of(offset["lsn"]),
        low=lsn_of(offset["low"]),
        taken_us=offset["taken"],
        parts=[TablePart(table, schema, name, file) for table, schema, name, file in offset["parts"]],
        part=offset["part"],
        after=None if not after else after[0] if isinstance(after[0], int) else after,
    )
