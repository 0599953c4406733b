"""The file source's offset: the number of its newest log entry, `{"logOffset":N}`."""

from __future__ import annotations

import json

from riacho.errors import IllegalStateError
from riacho.ids import Offset


def to_offset(log_offset: int) -> Offset:
    """The offset that names log entry `log_offset`."""
    return Offset(json.dumps({"logOffset": log_offset}, separators=(",", ":")))


def from_offset(offset: Offset | None) -> int:
    """The log entry that `offset` names, -1 for None. A bare number is taken too: early Spark wrote offsets so.

    Raises IllegalStateError for anything else.
    """
    if offset is None:
        return -1
    try:
        value = json.loads(offset)
        return int(value["logOffset"] if isinstance(value, dict) else value)
    except (ValueError, KeyError, TypeError):
        raise IllegalStateError(
            f"{offset!r} is not an offset of a file source. The number or order of the query's sources may have "
            "changed, which requires a new checkpoint."
        ) from None
