"""An engine in memory: no process, no port, an answer in microseconds. For tests of what stands around an engine.

It gives the rows of what it reads (spooled Arrow data, local relations, temporary views), of unions, and of projections
that only choose and rename columns. It does not know SQL or functions. A test that needs more says what the answer is:

    def answer(relation, rows_of):
        if relation.WhichOneof("rel_type") == "filter":
            table = rows_of(relation.filter.input)
            return table.filter(pc.field("id") > 1)

    engine = FakeEngine(answer)

It fails when it is told to: `engine.fail(EngineLost())`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from riacho.errors import SparkGeneralError, UnsupportedOperationError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, Spool, UserClass
from riacho.server.engine.spool import MEMORY_LIMIT_BYTES, FolderSpool
from riacho.server.plan.column_names import output_name
from riacho.storage import StorageSettings, of_session
from riacho.types import from_json
from riacho.zones import TIME_ZONE, UTC, Zone, session_zone

RowsOf = Callable[[pb.Relation], pa.Table]
Answer = Callable[[pb.Relation, RowsOf], "pa.Table | None"]
"""What a relation gives, or None to leave it to the engine; the second argument answers for its inputs."""


class FakeEngine:
    """See the module and `riacho.server.engine.base.Engine`.

    `runs` counts the relations that were executed; `before_run` is called before each, on the thread that asked: a test
    may wait there, look, or raise.
    """

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer
        self.before_run: Callable[[FakeSession, pb.Relation], None] = lambda _session, _relation: None
        self.runs = 0
        self.sessions: dict[SessionId, FakeSession] = {}
        self._spools: list[FolderSpool] = []
        self._failures: list[BaseException | None] = []
        self._changing = threading.Lock()

    def fail(self, error: BaseException, *, after: int = 0, times: int = 1) -> None:
        """Let `times` runs in a row raise `error`, once `after` more have gone well."""
        with self._changing:
            self._failures = [*[None] * after, *[error] * times]

    @property
    def spooled(self) -> int:
        """How many files lie in the spools of this engine's queries."""
        return sum(spool.files for spool in self._spools)

    def session(self, session_id: SessionId, user_id: str) -> FakeSession:
        with self._changing:
            if session_id not in self.sessions:
                self.sessions[session_id] = FakeSession(self, session_id, user_id)
            return self.sessions[session_id]

    def clone(self, session: EngineSession, *, prepares: bool = True) -> FakeSession:  # noqa: ARG002 - all come prepared
        original = self.sessions[session.session_id]
        clone = self.session(SessionId(new_uuid()), session.user_id)
        for key, value in original.confs.items():
            clone.set_conf(key, value)
        clone.relations.update(original.relations)
        return clone

    def spool(self, name: str, *, memory_limit: int | None = None, zone: str = "UTC") -> Spool:
        limit = MEMORY_LIMIT_BYTES if memory_limit is None else memory_limit
        self._spools.append(FolderSpool(name, memory_limit=limit, zone=zone))
        return self._spools[-1]

    def release(self, session_id: SessionId, user_id: str) -> None:  # noqa: ARG002 - ids are unique here
        with self._changing:
            session = self.sessions.pop(session_id, None)
        if session is not None:
            session.end()

    def stop(self) -> None:
        """Forget all sessions, and remove what spools have left."""
        for session in list(self.sessions.values()):
            self.release(session.session_id, session.user_id)
        for spool in self._spools:
            spool.close()

    def run(self, session: FakeSession, relation: pb.Relation) -> pa.Table:
        """The rows of a relation, as one execution. Raises what `fail` was given."""
        self.before_run(session, relation)
        with self._changing:
            self.runs += 1
            failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        return self.rows(session, relation)

    def rows(self, session: FakeSession, relation: pb.Relation) -> pa.Table:
        """The rows of a relation. Raises UnsupportedOperationError for one that this engine cannot answer."""

        def rows_of(inner: pb.Relation) -> pa.Table:
            return self.rows(session, inner)

        given = self.answer(relation, rows_of) if self.answer is not None else None
        if given is not None:
            return given
        match relation.WhichOneof("rel_type"):
            case "read" if relation.read.HasField("named_table"):
                return rows_of(session.view(relation.read.named_table.unparsed_identifier))
            case "read" if relation.read.data_source.format == "arrow":
                return pa.concat_tables(_file(path) for path in relation.read.data_source.paths)
            case "local_relation":
                return _local(relation.local_relation)
            case "subquery_alias":
                return rows_of(relation.subquery_alias.input)
            case "set_op" if _is_union(relation.set_op):
                left, right = rows_of(relation.set_op.left_input), rows_of(relation.set_op.right_input)
                return pa.concat_tables([left, right.rename_columns(left.column_names)])
            case "project" if relation.project.HasField("input"):
                return _chosen(rows_of(relation.project.input), relation.project.expressions)
            case kind:
                raise _unknown(f"a relation of the kind {kind}")


class FakeSession:
    """One session of a `FakeEngine`. See `riacho.server.engine.base.ConnectSession`.

    `interrupted` is set once it is told to cancel what it runs. What it does not know raises UnsupportedOperationError.
    """

    def __init__(self, engine: FakeEngine, session_id: SessionId, user_id: str) -> None:
        self.session_id = session_id
        self.user_id = user_id
        self.confs: dict[str, str] = {}
        self.relations: dict[str, pb.Relation] = {}
        self.interrupted = threading.Event()
        self.current_database = "default"
        self.zone: Zone = UTC
        self.zone_changed = False
        self._engine = engine
        self._at_end: list[Callable[[], None]] = []
        self.data_sources: dict[str, UserClass] = {}

    @property
    def storage(self) -> StorageSettings:
        return of_session(self.confs)

    @property
    def own_functions(self) -> frozenset[str]:
        return frozenset()

    @property
    def own_views(self) -> Mapping[str, pb.Relation]:
        return {}

    @property
    def views(self) -> frozenset[str]:
        return frozenset(self.relations)

    def view(self, name: str) -> pb.Relation:
        """What a temporary view reads. Raises UnsupportedOperationError for a name that is none."""
        if name.lower() not in self.relations:
            raise _unknown(f"a table or view called {name}")
        return self.relations[name.lower()]

    def end(self) -> None:
        """What `Engine.release` does to a session."""
        self.interrupt()
        for callback in self._at_end:
            callback()

    def use(self, database: str) -> None:
        self.current_database = database

    def prepared(self, relation: pb.Relation, *, rows: bool = True) -> pb.Relation:  # noqa: ARG002 - nothing to prepare
        return relation

    def typed(self, relation: pb.Relation, without_rows: Callable[[pb.Relation], pb.Relation]) -> pb.Relation:  # noqa: ARG002
        return relation

    def means_path(self, text: str) -> bool:  # noqa: ARG002 - it reads no names of paths
        return False

    def schema(self, relation: pb.Relation) -> pa.Schema:
        return self._engine.rows(self, relation).schema

    def columns(self, prepared: pb.Relation) -> pa.Schema:
        return self.schema(prepared)

    def explain(self, relation: pb.Relation) -> str:
        return f"== Physical Plan ==\n{relation.WhichOneof('rel_type')}\n"

    def run(self, relation: pb.Relation) -> pa.Table:
        return self._engine.run(self, relation)

    def stream(self, relation: pb.Relation) -> Iterator[pa.RecordBatch]:
        table = self._engine.run(self, relation)
        yield from table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]

    def execute(self, command: pb.Command) -> pa.Table | None:
        raise _unknown(f"the command {command.WhichOneof('command_type')}")

    def write_parquet(self, relation: pb.Relation, directory: Path, *, partition_by: Sequence[str] = ()) -> None:
        if partition_by:
            raise _unknown("how to write partitions")
        directory.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.run(relation), directory / f"part-{new_uuid()}.parquet")

    def parse_ddl(self, text: str) -> pa.Schema:
        raise _unknown(f"the DDL text {text!r}")

    def get_conf(self, key: str, default: str | None = None) -> str | None:
        return self.confs.get(key, default)

    def get_confs(self, defaults: Mapping[str, str]) -> dict[str, str]:
        return {key: self.confs.get(key, default) for key, default in defaults.items()}

    def set_conf(self, key: str, value: str) -> None:
        self.confs[key] = value
        if key == TIME_ZONE:
            self.zone = session_zone(value)
            self.zone_changed |= not self.zone.is_utc

    def create_view(self, name: str, relation: pb.Relation) -> None:
        self.relations[name.lower()] = relation

    def drop_view(self, name: str) -> bool:
        return self.relations.pop(name.lower(), None) is not None

    def on_release(self, callback: Callable[[], None]) -> None:
        self._at_end.append(callback)

    def interrupt(self) -> None:
        self.interrupted.set()

    def sql(self, text: str) -> pa.Table:
        raise _unknown(f"the SQL text {text!r}")

    def call(self, method: str, request: bytes) -> bytes:
        """Only `Interrupt`, which finds nothing to interrupt. Raises UnsupportedOperationError for others."""
        if method != "Interrupt":
            raise _unknown(f"the call {method}")
        self.interrupt()
        asked = pb.InterruptRequest.FromString(request)
        return pb.InterruptResponse(session_id=asked.session_id).SerializeToString()

    def analyze(self, request: pb.AnalyzePlanRequest) -> bytes:
        raise _unknown(f"the analysis {request.WhichOneof('analyze')}")

    def execute_plan(self, request: pb.ExecutePlanRequest) -> Iterator[bytes]:
        raise _unknown(f"the plan {request.plan.WhichOneof('op_type')}")

    def set_up(self, key: Hashable, request: pb.ExecutePlanRequest) -> Iterator[bytes]:  # noqa: ARG002
        raise _unknown(f"how to set up {key}")

    def server_options(self, given: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    @property
    def conf_keys(self) -> list[str]:
        return list(self.confs)

    def remember(self, key: Hashable, method: str, request: bytes) -> None:
        """It never loses anything."""

    def forget(self, key: Hashable) -> None:
        """It never loses anything."""


def interrupted(session: FakeSession, limit_s: float = 30) -> None:
    """For `before_run`: be busy until the session is interrupted, then fail as the engine does.

    Raises SparkGeneralError.
    """
    if session.interrupted.wait(limit_s):
        raise SparkGeneralError("[OPERATION_CANCELED] The operation was canceled.", condition="OPERATION_CANCELED")


def _file(path: str) -> pa.Table:
    with pa.OSFile(path) as file:
        return pa.ipc.open_file(file).read_all()


def _local(relation: pb.LocalRelation) -> pa.Table:
    table = pa.ipc.open_stream(relation.data).read_all() if relation.data else None
    if not relation.schema:
        assert table is not None, "a local relation without data has a schema"
        return table
    schema = from_json(relation.schema)
    return schema.empty_table() if table is None else table.cast(schema)


def _is_union(operation: pb.SetOperation) -> bool:
    return operation.set_op_type == pb.SetOperation.SET_OP_TYPE_UNION and operation.is_all and not operation.by_name


def _chosen(table: pa.Table, expressions: Sequence[pb.Expression]) -> pa.Table:
    """The columns of a projection that chooses, repeats and renames columns."""
    names: list[str] = []
    columns: list[pa.ChunkedArray] = []
    for expression in expressions:
        kind = expression.WhichOneof("expr_type")
        if kind == "unresolved_star":
            names += table.column_names
            columns += table.columns
            continue
        inner = expression.alias.expr if kind == "alias" else expression
        if inner.WhichOneof("expr_type") != "unresolved_attribute":
            raise _unknown(f"an expression of the kind {inner.WhichOneof('expr_type')}")
        column = inner.unresolved_attribute.unparsed_identifier
        if column not in table.column_names:
            raise _unknown(f"a column {column} among {', '.join(table.column_names)}")
        names.append(output_name(expression))
        columns.append(table[column])
    return pa.Table.from_arrays(columns, names=names)


def _unknown(what: str) -> UnsupportedOperationError:
    return UnsupportedOperationError(f"FakeEngine does not know {what}. Give it an `answer` that does.")
