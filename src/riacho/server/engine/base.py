"""What riacho asks of a batch engine. Which engine it is, only `connect.backend` knows, and whoever starts it.

Two verbs carry everything: `schema(relation)` and `run(relation)`. A relation is a Spark Connect `Relation` message
without streaming parts. Data enter through a `Spool`: Arrow IPC files in shared memory that a relation reads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from riacho.ids import SessionId
from riacho.protos import pb
from riacho.storage import StorageSettings
from riacho.zones import Zone

GLOBAL = "global_temp."
"""Before the names of global temporary views."""


@dataclass(frozen=True)
class UserClass:
    """A class that a client sent: pickled, and the Python that pickled it ("3.11"; "" is not known).

    `connector`: it is one of riacho's own, which may have several names, and may have what only riacho calls.
    """

    code: bytes
    python: str = ""
    connector: bool = False


class EngineSession(Protocol):
    """One client session inside the engine: its confs, temporary views and functions.

    All methods may be called from any thread, several at a time. All raise a `riacho.errors.SparkError` for what the
    engine refuses or fails at, and `EngineLost` if the engine's process went away; a new process is started, and what
    the session had set up (confs, views, functions) is set up again, before the next call is served.
    """

    session_id: SessionId
    user_id: str
    zone: Zone
    """The session's time zone."""
    zone_changed: bool
    """Whether it has ever been another one than UTC: then views may have TIMESTAMPs of other zones."""

    @property
    def storage(self) -> StorageSettings:
        """What the session's confs, and below them the server's, say of object storage."""

    @property
    def current_database(self) -> str:
        """The database that names without one mean."""

    def use(self, database: str) -> None:
        """Make another database the current one. Raises what the engine says of one that there is not."""

    @property
    def views(self) -> frozenset[str]:
        """The temporary views that the engine has for this session, in lower case; global ones `global_temp.name`."""

    @property
    def own_functions(self) -> frozenset[str]:
        """The functions that were registered in the session, in lower case."""

    @property
    def own_views(self) -> Mapping[str, pb.Relation]:
        """The temporary views that the engine does not have, as their rows are read by riacho; by lower-case name."""

    data_sources: dict[str, UserClass]
    """The Python data sources that were registered in the session, by lower-case name; the engine knows none."""

    def prepared(self, relation: pb.Relation, *, rows: bool = True) -> pb.Relation:
        """`relation` as the engine is to have it; what all calls here do to theirs.

        For a plan that is kept and run again. `rows`: False for one that is only analysed. Raises SparkError.
        """

    def typed(self, relation: pb.Relation, without_rows: Callable[[pb.Relation], pb.Relation]) -> pb.Relation:
        """`relation`, a stream's plan with its sources known, with what the types of its columns decide about it.

        `without_rows` makes a batch plan of a part of it that streams: its columns can be asked for.
        """

    def means_path(self, text: str) -> bool:
        """Whether the engine takes a path that is part of a name in SQL text for what it says."""

    def schema(self, relation: pb.Relation) -> pa.Schema:
        """The columns that `relation` would give; nothing is executed."""

    def columns(self, prepared: pb.Relation) -> pa.Schema:
        """As `schema`, of a relation that is prepared already."""

    def explain(self, relation: pb.Relation) -> str:
        """The plan as text for people."""

    def run(self, relation: pb.Relation) -> pa.Table:
        """Execute `relation` and collect all its rows. Their order is only given where the relation sorts."""

    def stream(self, relation: pb.Relation) -> Iterator[pa.RecordBatch]:
        """Execute `relation` and give its rows batch by batch, at least one (possibly empty) batch."""

    def execute(self, command: pb.Command) -> pa.Table | None:
        """Execute a command; the rows it returns, if it returns any (SQL commands do)."""

    def write_parquet(self, relation: pb.Relation, directory: Path, *, partition_by: Sequence[str] = ()) -> None:
        """Execute `relation` and write its rows as new Parquet files below `directory` (made if missing).

        Hive style `k=v` folders with `partition_by`. A failed call may leave files behind: use a fresh folder.
        """

    def parse_ddl(self, text: str) -> pa.Schema:
        """The schema of DDL text such as `a INT, b ARRAY<STRING>`. Raises ParseError."""

    def get_conf(self, key: str, default: str | None = None) -> str | None:
        """A conf of the session as text; one that is not set is `default`, or what Spark's default for it is."""

    def server_options(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """What one of riacho's own connectors is told beside the options that a user gave it: where things lie here.

        Raises what the catalog says of a table that an option names.
        """

    @property
    def conf_keys(self) -> list[str]:
        """The confs that were set in this session."""

    def get_confs(self, defaults: Mapping[str, str]) -> dict[str, str]:
        """The confs of the session that `defaults` names, asked for at once; those that are not set as given there."""

    def set_conf(self, key: str, value: str) -> None:
        """Set a conf of the session."""

    def create_view(self, name: str, relation: pb.Relation) -> None:
        """Make or replace a temporary view of this session; a global one is called `global_temp.name`.

        The engine gets its name in lower case, for it tells cases apart and Spark does not.
        """

    def drop_view(self, name: str) -> bool:
        """Drop a temporary view that the engine has for this session; whether it had it."""

    def on_release(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the session ends, for what lives as long as it does."""

    def interrupt(self) -> None:
        """Cancel all that this session is running; those calls fail with OPERATION_CANCELED."""

    def sql(self, text: str) -> pa.Table:
        """Run one SQL statement and collect its rows. Not for the batch path: the engine keeps memory for each text."""


class ConnectSession(EngineSession, Protocol):
    """An engine session that speaks Spark Connect itself, so that requests can pass through it in bytes."""

    def call(self, method: str, request: bytes) -> bytes:
        """One unary RPC of the Connect service. Raises SparkError, EngineLost."""

    def analyze(self, request: pb.AnalyzePlanRequest) -> bytes:
        """AnalyzePlan; the request is prepared, in place. Raises SparkError, EngineLost."""

    def execute_plan(self, request: pb.ExecutePlanRequest) -> Iterator[bytes]:
        """ExecutePlan; the request is prepared, in place, before it goes.

        Closing the iterator cancels the call. Raises SparkError, EngineLost while it is read.
        """

    def set_up(self, key: Hashable, request: pb.ExecutePlanRequest) -> Iterator[bytes]:
        """As `execute_plan`, for what sets something up in the session: then `remember` it under `key`."""

    def remember(self, key: Hashable, method: str, request: bytes) -> None:
        """Keep a request that set something up, for a new process. A later one of that key replaces it."""

    def forget(self, key: Hashable) -> None:
        """What `remember` kept under `key` is gone, for instance a dropped view."""


@dataclass(frozen=True)
class Surroundings:
    """What a `Step` is told besides the relation.

    `session` is asked for confs. `rows`: False for a plan that is only analysed. See `EngineSession` for
    `current_database` and `views`.
    """

    session: EngineSession
    rows: bool = True

    @property
    def current_database(self) -> str:
        return self.session.current_database

    @property
    def views(self) -> frozenset[str]:
        return self.session.views


OWN_READ: Final = "riacho.own"
"""The format of a batch read whose rows the engine cannot read itself; a plan with one is `OwnRows.bound` first."""

OWN_FORMAT: Final = "riacho.own.format"
"""The option that holds the format of such a read."""

Keep = Callable[[Callable[[], None]], object]
"""Takes a function that is called when what a plan needs is needed no more."""


ServerOptions = Callable[[Mapping[str, str], str], Mapping[str, str]]
"""Makes `EngineSession.server_options` of the options given and the current database."""


class OwnRows(Protocol):
    """Puts rows in the place of reads that are marked with `OWN_READ`."""

    def bound(self, relation: pb.Relation, around: Surroundings, keep: Keep) -> pb.Relation:
        """`relation` without marked reads. Raises SparkError."""


Step = Callable[[pb.Relation, Surroundings], pb.Relation]
"""One thing that is done to every plan and statement on its way to the engine, and leaves its own result as it is.

Gives the relation as the engine is to have it; the same object if it will do as it is. Raises SparkError.
"""


class Spool(Protocol):
    """A folder of Arrow IPC files that feeds one query's batches to the engine; gone when closed."""

    def put(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> tuple[pb.Relation, int]:
        """Write `batches` (all of `schema`, possibly none) to a new file.

        Returns a relation that reads them, and the number of rows. Small data go to shared memory, large data to disk.
        """

    def remove(self, relation: pb.Relation) -> None:
        """Remove the files that `relation`, made by `put`, reads. From any thread, beside a `put`."""

    def clear(self) -> None:
        """Remove all files put so far; relations made from them must no longer be run."""

    def close(self) -> None:
        """Remove the folder."""


class Engine(Protocol):
    """A batch engine that the server owns."""

    def session(self, session_id: SessionId, user_id: str) -> EngineSession:
        """The session of that identity, made on first use and kept until `release`."""

    def clone(self, session: EngineSession, *, prepares: bool = True) -> EngineSession:
        """A new session with the confs, views and functions that `session` has now; later changes are its own.

        What a streaming query runs on (Spark: `SparkSession.cloneSession`). `prepares`: False for one whose plans are
        `prepared` by `session`, once, and then run many times.
        """

    def spool(self, name: str, *, memory_limit: int | None = None, zone: str = "UTC") -> Spool:
        """A fresh spool whose folder name starts with `name`.

        `memory_limit`: bytes that it may have on shared memory; by default what suits the machine. `zone`: the time
        zone of the session that reads it, as the engine calls it.
        """

    def release(self, session_id: SessionId, user_id: str) -> None:
        """Interrupt what the session still runs and forget it. Unknown sessions are ignored."""

    def stop(self) -> None:
        """Stop the engine's process. Idempotent."""


class ConnectEngine(Engine, Protocol):
    """An engine whose sessions speak Spark Connect."""

    def session(self, session_id: SessionId, user_id: str) -> ConnectSession:
        """See `Engine.session`."""
