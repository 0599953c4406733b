r"""Where a stream stands, as the checkpoint keeps it.

{"from": "latest"}                          a new stream, before its first batch
{"from": "time", "t": 1795954664, "i": 9}   the same, from a time of the server's log on
{"token": "{\"_data\": …}", "t": …, "i": …}   behind an event; the token is the server's business
{"token": …, "idle": true}                  the same, with no event since the position before
{"after": "{\"$oid\": …}"}                  behind an `_id`, where there are no events; null is before all
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bson import Timestamp, json_util

from riacho.connectors.mongodb.extended_json import OPTIONS, parse
from riacho.errors import IllegalArgumentError

Position = dict[str, Any]

LATEST: Final = "latest"
TIME: Final = "time"
_KEY_STRING: Final = "82"
"""What MongoDB's own tokens begin with; eight digits of seconds and eight of a counter follow."""
_TOKEN_DIGITS: Final = 18


def initial(mode: str, at: str) -> Position:
    """Where a new stream begins. Raises IllegalArgumentError for a time that is none."""
    time = operation_time(at) if mode == "timestamp" else None
    return {"from": LATEST} if time is None else {"from": TIME, "t": time.time, "i": time.inc}


def operation_time(text: str) -> Timestamp | None:
    """`change.stream.startup.mode.timestamp.start.at.operation.time`; None for -1. Raises IllegalArgumentError."""
    text = text.strip()
    try:
        if text.lstrip("-").isdecimal():
            return None if int(text) < 0 else Timestamp(int(text), 0)
        if text.startswith("{"):
            found = parse(text)
            if isinstance(found, Timestamp):
                return found
        elif (moment := datetime.fromisoformat(text)).tzinfo is not None:
            return Timestamp(int(moment.astimezone(UTC).timestamp()), 0)
    except ValueError:
        pass
    raise IllegalArgumentError(
        f"Invalid value {text} for configuration change.stream.startup.mode.timestamp.start.at.operation.time: Must be "
        "either an integer number of seconds since the Epoch in the decimal format (example: 30), or an instant in the "
        "ISO-8601 format with one second precision (example: '1970-01-01T00:00:30Z'), or a BSON Timestamp in the "
        'canonical extended JSON (v2) format (example: \'{"$timestamp": {"t": 30, "i": 0}}\').'
    )


def behind(token: Mapping[str, Any], time: Timestamp | None) -> Position:
    """The position behind an event."""
    position: Position = {"token": text(token)}
    return position if time is None else {**position, "t": time.time, "i": time.inc}


def time_of(position: Position) -> Timestamp | None:
    """The time of the server's log at a position."""
    return Timestamp(position["t"], position["i"]) if "t" in position else None


def start_of(position: Position) -> dict[str, Any]:
    """How a change stream is told to begin there."""
    if "token" in position:
        return {"start_after": value(position["token"])}
    time = time_of(position)
    return {} if time is None else {"start_at_operation_time": time}


def time_of_token(token: Mapping[str, Any] | None) -> Timestamp | None:
    """The time in one of MongoDB's own tokens; None for those of other servers."""
    data = (token or {}).get("_data")
    if not isinstance(data, str) or not data.startswith(_KEY_STRING) or len(data) < _TOKEN_DIGITS:
        return None
    return Timestamp(int(data[2:10], 16), int(data[10:18], 16))


def text(found: Any) -> str:
    """A value of BSON as extended JSON, from which it comes back as it is."""
    return json.dumps(json.loads(json_util.dumps(found, json_options=OPTIONS)), separators=(",", ":"))


def value(stored: str) -> Any:
    """What `text` was given."""
    return json_util.loads(stored, json_options=OPTIONS)
