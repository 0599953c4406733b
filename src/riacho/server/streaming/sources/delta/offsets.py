"""Where a query stands in a Delta table: a version and how many of its files. Source: Delta's `DeltaSourceOffset`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from riacho.errors import IllegalStateError
from riacho.ids import Offset

BASE_INDEX = -100
"""Before all files of a version. The checkpoint has -1 for it, as versions of Delta before 3.0 knew it."""

END_INDEX = (1 << 63) - 101
"""After all files of a version; never in a checkpoint, which has the base of the next version instead."""

_BASE_INDEX_IN_LOG = -1
_OLDEST_FORMAT = 1
_RESERVED_FORMAT = 2
_NEWEST_FORMAT = 3


@dataclass(frozen=True)
class DeltaOffset:
    """After file number `index` of `version`. `initial`: in the snapshot of that version, not in its commit."""

    table_id: str
    version: int
    index: int = BASE_INDEX
    initial: bool = False

    def __str__(self) -> str:
        return self.to_json()

    @property
    def position(self) -> tuple[int, int]:
        """What offsets of one table are ordered by."""
        return self.version, self.index

    def to_json(self) -> Offset:
        body = {
            "sourceVersion": _OLDEST_FORMAT,
            "reservoirId": self.table_id,
            "reservoirVersion": self.version,
            "index": _BASE_INDEX_IN_LOG if self.index == BASE_INDEX else self.index,
            "isStartingVersion": self.initial,
        }
        return Offset(json.dumps(body, separators=(",", ":")))


def parse_offset(text: Offset, table_id: str) -> DeltaOffset:
    """The offset that a checkpoint has, for a query that reads the table of that id.

    Raises DELTA_INVALID_SOURCE_OFFSET_FORMAT, DELTA_INVALID_SOURCE_VERSION, DELTA_INVALID_FORMAT_FROM_SOURCE_VERSION,
    DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE.
    """
    try:
        body: dict[str, Any] = json.loads(text)
        found_format = int(body["sourceVersion"])
        offset = DeltaOffset(
            str(body["reservoirId"]), int(body["reservoirVersion"]), int(body["index"]), bool(body["isStartingVersion"])
        )
    except (ValueError, KeyError, TypeError):
        raise IllegalStateError.of(
            "DELTA_INVALID_SOURCE_OFFSET_FORMAT",
            f"The stored source offset format is invalid: {text}",
            sql_state="XXKDS",
        ) from None
    if found_format < _OLDEST_FORMAT or found_format == _RESERVED_FORMAT:
        raise IllegalStateError.of(
            "DELTA_INVALID_SOURCE_VERSION",
            f"sourceVersion({found_format}) is invalid",
            sql_state="XXKDS",
            version=str(found_format),
        )
    if found_format > _NEWEST_FORMAT:
        raise IllegalStateError.of(
            "DELTA_INVALID_FORMAT_FROM_SOURCE_VERSION",
            f"Unsupported format. Expected version should be smaller than or equal to {_NEWEST_FORMAT} but was "
            f"{found_format}. Please upgrade to newer version of Delta.",
            sql_state="XXKDS",
            expectedVersion=str(_NEWEST_FORMAT),
            realVersion=str(found_format),
        )
    if offset.table_id != table_id:
        raise other_table(table_id, offset.table_id)
    if found_format < _NEWEST_FORMAT and offset.index == _BASE_INDEX_IN_LOG:
        return DeltaOffset(offset.table_id, offset.version, BASE_INDEX, offset.initial)
    return offset


def other_table(new_id: str, old_id: str) -> IllegalStateError:
    """The error for a checkpoint, or a running query, whose table has become another one."""
    return IllegalStateError.of(
        "DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE",
        f"The streaming query was reading from an unexpected Delta table (id = '{new_id}'). \nIt used to read from "
        f"another Delta table (id = '{old_id}') according to checkpoint. \nThis may happen when you changed the code "
        "to read from a new table or you deleted and \nre-created a table. Please revert your change or delete your "
        "streaming query checkpoint \nto restart from scratch.",
        sql_state="55019",
        newTableId=new_id,
        oldTableId=old_id,
    )


def require_forward(before: DeltaOffset, after: DeltaOffset) -> None:
    """Refuse an offset that would go back over what was read. Raises IllegalStateError."""
    if after.initial and not before.initial:
        raise IllegalStateError(
            f"Found invalid offsets: 'isInitialSnapshot' flipped incorrectly. Previous: {before}, Current: {after}"
        )
    if after.position < before.position:
        raise IllegalStateError(f"Found invalid offsets: moved back. Previous: {before}, Current: {after}")
