"""What pipelines ask of the parts around them. The server puts these together; tests use small fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from riacho.errors import SparkError
from riacho.ids import SessionId
from riacho.protos import pb
from riacho.server.catalog.base import Table, TableName
from riacho.server.engine.base import EngineSession
from riacho.server.graph.cdc.sink import CdcTarget
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.quality import BatchQuality, Checks
from riacho.storage import Place


class PipelineSession(Protocol):
    """A client's session, as far as pipelines need to know it."""

    session_id: SessionId
    current_database: str

    @property
    def engine(self) -> EngineSession:
        """The client's session in the engine."""


class Analyzer(Protocol):
    """Says what columns a relation has."""

    def schema(self, relation: pb.Relation, session: PipelineSession, engine: EngineSession) -> pa.Schema:
        """The columns of `relation`, which may hold streaming sources and operators. Nothing is executed.

        `session` is whose temporary views count; `engine` is what to ask (it may have confs of its own).
        Raises SparkError, for instance TABLE_OR_VIEW_NOT_FOUND.
        """


class RunningFlow(Protocol):
    """A streaming query that works off what is available now, or goes on until it is stopped."""

    @property
    def batches(self) -> int:
        """How many batches it has committed."""

    @property
    def waits_for_data(self) -> bool:
        """Whether it has nothing to do."""

    def await_termination(self, timeout_s: float) -> bool:
        """Wait until the query has ended, at most `timeout_s`; whether it has. Does not raise the query's error."""

    def exception(self) -> SparkError | None:
        """What the query died of, once it has ended."""

    def stop(self) -> None:
        """Stop the query and wait until it has stopped. Idempotent."""


class StreamStarter(Protocol):
    """Starts streaming queries."""

    def start_flow(
        self,
        *,
        relation: pb.Relation,
        session: PipelineSession,
        table: TableName | None,
        sink_format: str,
        sink_options: Mapping[str, str],
        query_name: str,
        checkpoint: Place,
        conf: Mapping[str, str],
        output_mode: str = "append",
        on_batch: Callable[[Progress], None] | None = None,
        once: bool = False,
        checks: Checks | None = None,
        changes: CdcTarget | None = None,
        interval_ms: int | None = None,
    ) -> RunningFlow:
        """Start a query into `table`, or if that is None into a sink of `sink_format`.

        It ends when it has worked off what is there (trigger availableNow), unless `interval_ms` says how far apart its
        batches are at least: then it goes on.
        `on_batch`: see `streaming.query_status.Listener`. The table is there. With `once`, `relation` is a batch query,
        and its rows are the only batch. `checks`: rules that the rows are to keep. `changes`: the rows are events that
        change `table`, and are not appended to it. Raises SparkError for what is known to be wrong before the first
        batch.
        """


class RefreshWay(StrEnum):
    """How a materialized view was brought up to date, in Lakeflow's words."""

    NO_OP = "MAINTENANCE_TYPE_NO_OP"
    APPEND_ONLY = "MAINTENANCE_TYPE_APPEND_ONLY"
    GROUP_AGGREGATE = "MAINTENANCE_TYPE_GROUP_AGGREGATE"
    COMPLETE_RECOMPUTE = "MAINTENANCE_TYPE_COMPLETE_RECOMPUTE"

    @property
    def said(self) -> str:
        """In a few words."""
        return {
            "NO_OP": "not touched",
            "APPEND_ONLY": "appended to",
            "GROUP_AGGREGATE": "given the groups that changed",
        }.get(self.name, "recomputed")


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did, and why in this way, in words. `version`: that it made, None if nothing was written."""

    way: RefreshWay
    why: str
    version: int | None = None
    rows: int = 0


@dataclass(frozen=True)
class CheckedRefresh:
    """What a refresh with rules did. `rows`: those that the table's log has of it."""

    rows: int
    quality: BatchQuality


class TableWriter(Protocol):
    """Writes materialized views."""

    def refresh(
        self,
        table: Table,
        relation: pb.Relation,
        schema: pa.Schema,
        engine: EngineSession,
        *,
        full: bool = False,
        from_changes: bool = True,
    ) -> Refreshed:
        """Make the rows of `relation`, which has the columns `schema`, the table's only rows, in at most one commit.

        They need not be computed anew if it is sure what they are; with `full`, or without `from_changes`, they are.
        Who reads meanwhile sees the old rows and columns or the new ones. If it raises SparkError, nothing has changed.
        """

    def replace_checked(
        self,
        table: Table,
        relation: pb.Relation,
        have: pa.Schema,
        want: pa.Schema,
        engine: EngineSession,
        checks: Checks,
    ) -> CheckedRefresh:
        """As a full `refresh`, with the rows of `relation` that keep the rules; what there was.

        `relation` has the columns `have`, which the rules are about, and the table is to have the columns `want`. Rows
        to be quarantined replace those that are there, before the table's own are replaced. Raises
        EXPECTATION_VIOLATION for a row that breaks a FAIL rule.
        """


class FlowSessions(Protocol):
    """Engine sessions with confs of their own."""

    def open(self, engine: EngineSession, conf: Mapping[str, str]) -> EngineSession:
        """A session like `engine` in which `conf` is set besides; `engine` itself if that would change nothing."""

    def close(self, engine: EngineSession, opened: EngineSession) -> None:
        """Forget `opened`, which `open` gave for `engine`."""
