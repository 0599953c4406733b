"""What a start works with: the parts of the server that streams use, and the client's session."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from riacho.clock import Clock
from riacho.ids import SessionId
from riacho.protos import pb
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.engine.base import Engine, EngineSession
from riacho.server.streaming.manager import QueryManager
from riacho.server.streaming.planning import MakeSource
from riacho.server.streaming.sinks.memory import ShowView


@dataclass(frozen=True)
class StreamingContext:
    """Put together by the server for each start.

    `owner` is the client's session, whose query it will be; `session` is that session in the engine, or of a pipeline's
    flow one with confs of its own. `views` are the temporary views by lower-case name, and `show_view` makes one;
    `relations` is where DataFrames are found that are known by id. `connect_url` is where workers of the user's
    functions reach the server, as the client's user.
    """

    engine: Engine
    catalog: WarehouseCatalog
    housekeeper: Housekeeper
    queries: QueryManager
    clock: Clock
    connect_url: str
    owner: SessionId
    session: EngineSession
    views: Mapping[str, pb.Relation]
    relations: MutableMapping[str, pb.Relation]
    show_view: ShowView
    database: str
    make_source: MakeSource
