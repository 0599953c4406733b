"""What a batch write in a format of riacho's own works with."""

from __future__ import annotations

from dataclasses import dataclass

from riacho.clock import Clock
from riacho.ids import SessionId
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.engine.base import EngineSession


@dataclass(frozen=True)
class WriteContext:
    """What a batch write works with: the client's session and the parts of the server.

    `owner` is the client's session; `connect_url` is where workers of the user's functions reach the server, as the
    client's user. `database`: the session's current one.
    """

    session: EngineSession
    catalog: WarehouseCatalog
    clock: Clock
    owner: SessionId
    connect_url: str
    database: str
