"""What a query is before it runs: all that a start command decides, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from riacho.ids import SessionId
from riacho.server.engine.base import EngineSession
from riacho.server.plan.row_shape import RowShape
from riacho.server.streaming.execution import Execution
from riacho.server.streaming.sinks.base import OutputMode, Sink
from riacho.server.streaming.sources.base import Source
from riacho.server.streaming.trigger import Trigger
from riacho.storage import Place


@dataclass(frozen=True)
class SourceUse:
    """A source of a plan; `with_metadata` if the plan reads `_metadata` of it, but none of its `unused` columns."""

    source: Source
    with_metadata: bool = False
    unused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class QueryDefinition:
    """A checked query, ready to start.

    `sources` stand in the order of the plan's leaves; `places` names the source at each place of the plan where one is
    read (one that is read twice stands there twice), which is how the offset log has them. `prepare` makes the
    execution, once the checkpoint is known; `schema` are the columns it gives. `session` is the query's own clone of
    the client's session, whose id is `owner`. `temporary` checkpoints are removed when the query ends without a
    failure. `tags` and `operation_id` let the client interrupt it. `shape`: how its rows relate to those it reads.
    """

    owner: SessionId
    name: str | None
    sources: Sequence[SourceUse]
    places: Sequence[int]
    schema: pa.Schema
    sink: Sink
    output_mode: OutputMode
    trigger: Trigger
    checkpoint: Place
    temporary: bool
    session: EngineSession
    prepare: Callable[[Place], Execution]
    conf: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    operation_id: str = ""
    plan_text: str = ""
    shape: RowShape | None = None
