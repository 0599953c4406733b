"""For tests of riacho and for users' own: parts in memory, a clock moved by hand, servers (`docs/testing.md`).

The names here need no engine, no port and no client; they are loaded when they are asked for, so that who only wants
`riacho.testing.servers` does not load a server's parts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riacho.testing.clock import ManualClock
    from riacho.testing.engine import FakeEngine
    from riacho.testing.queries import Crash, CrashAfter, define, run
    from riacho.testing.streams import ListSink, ScriptedSource

__all__ = ["Crash", "CrashAfter", "FakeEngine", "ListSink", "ManualClock", "ScriptedSource", "define", "run"]

_PLACES = {
    "ManualClock": "clock",
    "FakeEngine": "engine",
    **dict.fromkeys(("Crash", "CrashAfter", "define", "run"), "queries"),
    **dict.fromkeys(("ListSink", "ScriptedSource"), "streams"),
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
