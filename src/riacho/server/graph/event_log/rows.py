"""An event as a row of the table, with Lakeflow's columns, and as a line of the journal."""

from __future__ import annotations

import json
import platform
import threading
import traceback
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

from riacho.clock import Clock
from riacho.errors import SparkError
from riacho.server.graph.events import PipelineEvent

_TEXT: Final = pa.string()
SCHEMA: Final = pa.schema(
    [
        ("id", _TEXT),
        (
            "sequence",
            pa.struct(
                [
                    ("data_plane_id", pa.struct([("instance", _TEXT), ("seq_no", pa.int64())])),
                    ("control_plane_seq_no", pa.int64()),
                ]
            ),
        ),
        (
            "origin",
            pa.struct(
                [
                    *(("pipeline_id", _TEXT), ("pipeline_name", _TEXT), ("update_id", _TEXT), ("host", _TEXT)),
                    *(("user_id", _TEXT), ("dataset_name", _TEXT), ("sink_name", _TEXT)),
                    *(("flow_id", _TEXT), ("flow_name", _TEXT), ("batch_id", pa.int64())),
                ]
            ),
        ),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("message", _TEXT),
        ("level", _TEXT),
        ("maturity_level", _TEXT),
        (
            "error",
            pa.struct(
                [
                    ("fatal", pa.bool_()),
                    (
                        "exceptions",
                        pa.list_(
                            pa.struct(
                                [("class_name", _TEXT), ("message", _TEXT), ("error_class", _TEXT), ("stack", _TEXT)]
                            )
                        ),
                    ),
                ]
            ),
        ),
        ("details", _TEXT),
        ("event_type", _TEXT),
    ]
)
"""The columns of the table. `details` is JSON, an object named by `event_type`."""

_OURS: Final = uuid.UUID("6f0b36f4-6f0f-5b0a-9c3a-2f2b8a6f5c11")
_STABLE: Final = "STABLE"
_STACK_BYTES: Final = 10_000


def stable_id(*parts: object) -> str:
    """An id that is the same for the same parts."""
    return str(uuid.uuid5(_OURS, "\n".join(map(str, parts))))


@dataclass(frozen=True)
class EventRow:
    """A row, and the query and batch that it is about if a batch that is run again tells it again.

    `doubtful`: it may be in the table already, for whatever reason.
    """

    values: Mapping[str, Any]
    once: tuple[str, int] | None = None
    doubtful: bool = False

    @property
    def id(self) -> str:
        return str(self.values["id"])

    @property
    def time_us(self) -> int:
        return int(self.values["timestamp"])

    def to_line(self) -> bytes:
        """The row as a line of the journal."""
        text = json.dumps({"row": self.values, "once": self.once}, separators=(",", ":"), ensure_ascii=False)
        return text.encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> EventRow | None:
        """The row of a line, of which it is not known what became of it; None for a line that was cut off."""
        try:
            found = json.loads(line)
            once = found["once"]
            return cls(found["row"], None if once is None else (once[0], once[1]), doubtful=True)
        except (ValueError, LookupError, TypeError):
            return None


def to_batch(rows: Iterable[EventRow]) -> pa.RecordBatch:
    """Rows as Arrow."""
    return pa.RecordBatch.from_pylist([dict(row.values) for row in rows], schema=SCHEMA)


@dataclass
class Origin:
    """Where the events of one run come from; makes their rows. May be used by any thread.

    Rows get ascending numbers: those of one run count on, and those of a later run are higher, as far as clocks agree.
    """

    pipeline_id: str
    pipeline_name: str
    update_id: str
    user_id: str | None
    clock: Clock
    _last: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def _fixed(self) -> dict[str, Any]:
        return {
            "pipeline_id": self.pipeline_id,
            "pipeline_name": self.pipeline_name,
            "update_id": self.update_id,
            "host": platform.node(),
            "user_id": self.user_id,
        }

    def row(self, event: PipelineEvent) -> EventRow:
        """The event as a row."""
        once = event.once
        values = {
            "id": event.id,
            "sequence": {"data_plane_id": {"instance": self.update_id, "seq_no": self._next()}},
            "origin": {
                **self._fixed,
                "dataset_name": _name(event.dataset),
                "sink_name": _name(event.sink),
                "flow_name": _name(event.flow),
                "flow_id": None if once is None else once[0],
                "batch_id": None if once is None else once[1],
            },
            "timestamp": event.time_ms * 1000,
            "message": _clean(event.message),
            "level": str(event.level),
            "maturity_level": _STABLE,
            "error": None if event.error is None else _error(event.error),
            "details": _clean(json.dumps({str(event.type): event.details}, ensure_ascii=False, default=str)),
            "event_type": str(event.type),
        }
        return EventRow(values, once)

    def _next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, self.clock.now_ms() * 1000)
            return self._last


def _clean(text: str) -> str:
    """Text that can be stored: what is half a character is written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _name(name: object) -> str | None:
    return None if name is None else str(name)


def _error(error: BaseException) -> dict[str, Any]:
    exceptions: list[dict[str, Any]] = []
    cause: BaseException | None = error
    while cause is not None and len(exceptions) < 10:
        stack = "".join(traceback.format_tb(cause.__traceback__))[-_STACK_BYTES:]
        exceptions.append(
            {
                "class_name": type(cause).__name__,
                "message": _clean(str(cause)),
                "error_class": cause.condition if isinstance(cause, SparkError) else None,
                "stack": _clean(stack) or None,
            }
        )
        cause = cause.__cause__
    return {"fatal": True, "exceptions": exceptions}
