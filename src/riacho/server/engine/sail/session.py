"""One client session inside the engine, which outlives the engine's process.

What a client sets up in a session (confs, views, functions) is kept here as the original requests, which are sent again
when a new process serves the session. Each call goes to the process that is serving now; when that process dies during
the call, the caller gets `EngineLost`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import grpc
import pyarrow as pa
from google.protobuf.message import Message

from riacho import types
from riacho.conf import known
from riacho.errors import EngineLost, SparkError, SparkGeneralError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine import asked
from riacho.server.engine.base import GLOBAL, Keep, ServerOptions, Surroundings, UserClass
from riacho.server.engine.sail import ddl, failures
from riacho.server.engine.sail.links import plain_text
from riacho.server.engine.sail.mixed_types import corrected, may_mix_types, without_rows
from riacho.server.engine.sail.own_functions import OwnFunction
from riacho.server.engine.sail.preparation import Preparation, has_own_reads, waits
from riacho.server.engine.sail.process import EngineProcess, lost
from riacho.server.plan.walk import children
from riacho.storage import StorageSettings, is_storage_key, of_session
from riacho.zones import TIME_ZONE, UTC, session_zone

_log = logging.getLogger(__name__)

INTERRUPT_LIMIT_S = 2.0
"""How long an engine may take to react to an interrupt. One that takes longer is not reacting at all."""


class Processes(Protocol):
    """Where a session gets the process that serves it."""

    def current(self) -> EngineProcess:
        """The process that serves new calls; starts one if there is none. Raises SparkError if it does not start."""

    def discard(self, process: EngineProcess) -> None:
        """`process` failed during a call; it must not get another."""


class SailSession:
    """See `engine.base.EngineSession`. `before_call` runs before each call, for instance to register tables.

    `preparation` has the steps that plans and statements go through. With `prepares` they go through them on their way
    to the engine; without it, those that are run here arrive already prepared.
    """

    def __init__(
        self,
        processes: Processes,
        session_id: SessionId,
        user_id: str,
        before_call: Callable[[SailSession], None] | None = None,
        preparation: Preparation | None = None,
        *,
        prepares: bool = True,
        server_options: ServerOptions | None = None,
    ) -> None:
        self.session_id = session_id
        self.user_id = user_id
        self.zone = UTC
        self.zone_changed = False
        self.epoch = 0
        """The epoch of the process that knows what this session has set up; 0 while none does."""
        self._processes = processes
        self._before_call = before_call
        self._preparation = preparation or Preparation()
        self._prepares = prepares
        self._server_options = server_options
        self._current_database = "default"
        self._journal: dict[Hashable, tuple[str, bytes]] = {}
        self._own_views: dict[str, pb.Relation] = {}
        self.data_sources: dict[str, UserClass] = {}
        self._storage: StorageSettings | None = None
        self._on_release: list[Callable[[], None]] = []
        # When a protobuf field is given twice, the last value wins, so these bytes appended to a request make it one of
        # this session.
        self._own_id = pb.ConfigRequest(session_id=session_id).SerializeToString()
        self._setting_up = threading.RLock()
        self._setting_up_thread: int | None = None

    @property
    def storage(self) -> StorageSettings:
        found = self._storage
        if found is None:
            with self._setting_up:
                sent = [
                    pb.ConfigRequest.FromString(request)
                    for key, (_, request) in self._journal.items()
                    if _tells_of_storage(key)
                ]
                found = of_session({pair.key: pair.value for one in sent for pair in one.operation.set.pairs})
                self._storage = found
        return found

    @property
    def current_database(self) -> str:
        return self._current_database

    def use(self, database: str) -> None:
        relation = pb.Relation()
        relation.catalog.set_current_database.db_name = f"`{database}`"
        for _ in self.set_up(("current database",), self._request(pb.Plan(root=relation))):
            pass
        self._current_database = database

    @property
    def views(self) -> frozenset[str]:
        with self._setting_up:
            known = {str(key[1]) for key in self._journal if isinstance(key, tuple) and key[0] == "view"}
            return frozenset(known | self._own_views.keys())

    @property
    def own_functions(self) -> frozenset[str]:
        with self._setting_up:
            keys = [key for key in self._journal if isinstance(key, tuple)]
        return frozenset(str(key[1]) for key in keys if key[0] in ("register_function", "register_table_function"))

    @property
    def own_views(self) -> Mapping[str, pb.Relation]:
        return self._own_views

    def server_options(self, given: Mapping[str, str]) -> Mapping[str, str]:
        return {} if self._server_options is None else self._server_options(given, self._current_database)

    @property
    def conf_keys(self) -> list[str]:
        with self._setting_up:
            return [str(key[1]) for key in self._journal if isinstance(key, tuple) and key[0] == "conf"]

    def prepared(self, relation: pb.Relation, *, rows: bool = True) -> pb.Relation:
        return self._preparation.relation(relation, Surroundings(self, rows))

    def typed(self, relation: pb.Relation, without_rows: Callable[[pb.Relation], pb.Relation]) -> pb.Relation:
        return self._preparation.typed(relation, Surroundings(self), without_rows)

    def means_path(self, text: str) -> bool:
        return plain_text(text)

    def schema(self, relation: pb.Relation) -> pa.Schema:
        return self.columns(self.prepared(relation, rows=False))

    def columns(self, prepared: pb.Relation) -> pa.Schema:
        question = ("columns", self.session_id, prepared.SerializeToString(deterministic=True))
        return asked.once(question, lambda: self._columns(prepared))

    def _columns(self, prepared: pb.Relation) -> pa.Schema:
        prepared = self._preparation.bound(prepared, Surroundings(self, rows=False), _nothing_to_keep)
        request = self._analyze()
        request.schema.plan.root.CopyFrom(prepared)
        reply = pb.AnalyzePlanResponse.FromString(self.call("AnalyzePlan", request.SerializeToString()))
        schema = types.schema_from_proto(reply.schema.schema)
        if not may_mix_types(prepared):
            return schema
        planned = list(_batches(self._run(self._request(pb.Plan(root=without_rows(prepared))))))
        return corrected(schema, planned[0].schema)

    def explain(self, relation: pb.Relation) -> str:
        request = self._analyze()
        request.explain.plan.root.CopyFrom(relation)
        request.explain.explain_mode = pb.AnalyzePlanRequest.Explain.EXPLAIN_MODE_SIMPLE
        reply = pb.AnalyzePlanResponse.FromString(self.analyze(request))
        return reply.explain.explain_string

    def run(self, relation: pb.Relation) -> pa.Table:
        return pa.Table.from_batches(list(self.stream(relation)))

    def stream(self, relation: pb.Relation) -> Iterator[pa.RecordBatch]:
        return _batches(self.execute_plan(self._request(pb.Plan(root=relation))))

    def execute(self, command: pb.Command) -> pa.Table | None:
        batches: list[pa.RecordBatch] = []
        for reply in self._replies(pb.Plan(command=command)):
            if reply.HasField("arrow_batch"):
                batches.extend(_decode(reply))
            elif reply.HasField("sql_command_result"):
                batches.extend(_local_rows(reply.sql_command_result.relation))
        return pa.Table.from_batches(batches) if batches else None

    def sql(self, text: str) -> pa.Table:
        """Raises SparkGeneralError if the engine returns no result."""
        command = pb.Command()
        command.sql_command.input.sql.query = text
        for reply in self._replies(pb.Plan(command=command)):
            if reply.HasField("sql_command_result"):
                return self.run(reply.sql_command_result.relation)
        raise SparkGeneralError(f"The engine returned no result for: {text}")

    def write_parquet(self, relation: pb.Relation, directory: Path, *, partition_by: Sequence[str] = ()) -> None:
        command = pb.Command()
        write = command.write_operation
        write.input.CopyFrom(relation)
        write.source = "parquet"
        write.path = str(directory)
        write.mode = pb.WriteOperation.SAVE_MODE_APPEND
        write.partitioning_columns.extend(partition_by)
        # Takes half the time of the engine's defaults (zstd(3), dictionaries tried on every column). Spark uses Snappy.
        write.options.update({"compression": "snappy", "dictionary_enabled": "false"})
        self.execute(command)

    def parse_ddl(self, text: str) -> pa.Schema:
        request = self._analyze()
        request.ddl_parse.ddl_string = text
        reply = pb.AnalyzePlanResponse.FromString(self.analyze(request))
        schema = types.schema_from_proto(reply.ddl_parse.parsed)
        comments = ddl.column_comments(text)
        if len(comments) != len(schema):  # a single type, not a list of columns
            return schema
        return pa.schema([types.with_comment(field, comment) for field, comment in zip(schema, comments, strict=True)])

    def get_conf(self, key: str, default: str | None = None) -> str | None:
        return asked.once(("conf", self.session_id, key, default), lambda: self._get_conf(key, default))

    def _get_conf(self, key: str, default: str | None) -> str | None:
        request = pb.ConfigRequest(session_id=self.session_id)
        request.user_context.user_id = self.user_id
        conf = known(key)
        if default is None and conf is not None:
            default = conf.default
        if default is None:
            request.operation.get_option.keys.append(key)
        else:  # the engine has defaults of its own, which differ from Spark's
            request.operation.get_with_default.pairs.add(key=key, value=default)
        reply = pb.ConfigResponse.FromString(self.call("Config", request.SerializeToString()))
        for pair in reply.pairs:
            if pair.HasField("value"):
                return pair.value
        return default

    def get_confs(self, defaults: Mapping[str, str]) -> dict[str, str]:
        request = pb.ConfigRequest(session_id=self.session_id)
        request.user_context.user_id = self.user_id
        for key, value in defaults.items():
            request.operation.get_with_default.pairs.add(key=key, value=value)
        reply = pb.ConfigResponse.FromString(self.call("Config", request.SerializeToString()))
        return {pair.key: pair.value for pair in reply.pairs}

    def set_conf(self, key: str, value: str) -> None:
        asked.forget()
        zone = session_zone(value) if key == TIME_ZONE else None
        request = self._set_conf_request(key, value if zone is None else zone.engine)
        self.call("Config", request)
        self.remember(("conf", key), "Config", request)
        if zone is not None:
            self.zone = zone
            self.zone_changed = self.zone_changed or not zone.is_utc

    def _set_conf_request(self, key: str, value: str) -> bytes:
        request = pb.ConfigRequest(session_id=self.session_id)
        request.user_context.user_id = self.user_id
        request.operation.set.pairs.add(key=key, value=value)
        return request.SerializeToString()

    def analyze(self, request: pb.AnalyzePlanRequest) -> bytes:
        self._prepare(request, rows=False)
        if has_own_reads(request.SerializeToString()):
            self._bind(request, Surroundings(self, rows=False), _nothing_to_keep)
        plan = request.schema.plan.root
        if request.HasField("schema") and may_mix_types(plan):
            reply = pb.AnalyzePlanResponse()
            reply.schema.schema.CopyFrom(types.schema_to_proto(self.columns(plan)))
            return reply.SerializeToString()
        return self.call("AnalyzePlan", request.SerializeToString())

    def execute_plan(self, request: pb.ExecutePlanRequest) -> Iterator[bytes]:
        self._prepare(request, rows=True)
        yield from self._run(request)

    def _run(self, request: pb.ExecutePlanRequest) -> Iterator[bytes]:
        """ExecutePlan of a request that has been prepared."""
        encoded = request.SerializeToString()
        with ExitStack() as rows, self._serving() as process:
            if has_own_reads(encoded):
                bound = pb.ExecutePlanRequest.FromString(encoded)
                self._bind(bound, Surroundings(self, rows=not waits(request)), rows.callback)
                encoded = bound.SerializeToString()
            call = process.execute(encoded)
            try:
                yield from call
            except grpc.RpcError as error:
                raise self._failure(process, error) from None
            finally:
                call.cancel()

    def _bind(self, message: Message, surroundings: Surroundings, keep: Keep) -> None:
        """Put rows in place of the marked reads of a request, which is altered."""
        for relation in list(children(message)):
            bound = self._preparation.bound(relation, surroundings, keep)
            if bound is not relation:
                relation.CopyFrom(bound)

    def set_up(self, key: Hashable, request: pb.ExecutePlanRequest) -> Iterator[bytes]:
        yield from self.execute_plan(request)
        self.remember(key, "ExecutePlan", request.SerializeToString())

    def call(self, method: str, request: bytes) -> bytes:
        """One unary RPC of the Connect service. Raises SparkError, EngineLost."""
        with self._serving() as process:
            try:
                return process.call(method, request)
            except grpc.RpcError as error:
                raise self._failure(process, error) from None

    def remember(self, key: Hashable, method: str, request: bytes) -> None:
        """Keep a request that set something up, for a new process. A later one with the same key replaces it."""
        with self._setting_up:
            self._journal.pop(key, None)
            self._journal[key] = (method, request)
            if _tells_of_storage(key):
                self._storage = None

    def forget(self, key: Hashable) -> None:
        """Drop what `remember` kept under `key`, for instance because a view was dropped."""
        with self._setting_up:
            self._journal.pop(key, None)
            if _tells_of_storage(key):
                self._storage = None

    def create_view(self, name: str, relation: pb.Relation) -> None:
        name = name.lower()
        prepared = self.prepared(relation)
        if has_own_reads(prepared.SerializeToString()):
            self.drop_view(name)  # what it replaces may be one that the engine knows
            self._own_views[name] = prepared
            return
        self._own_views.pop(name, None)
        command = pb.Command()
        view = command.create_dataframe_view
        view.name, view.replace, view.is_global = name.removeprefix(GLOBAL), True, name.startswith(GLOBAL)
        view.input.CopyFrom(relation)
        for _ in self.set_up(("view", name), self._request(pb.Plan(command=command))):
            pass

    def drop_view(self, name: str) -> bool:
        name = name.lower()
        if self._own_views.pop(name, None) is not None:
            return True
        if name not in self.views:
            return False
        relation = pb.Relation()
        if name.startswith(GLOBAL):
            relation.catalog.drop_global_temp_view.view_name = name.removeprefix(GLOBAL)
        else:
            relation.catalog.drop_temp_view.view_name = name
        self.forget(("view", name))
        self.run(relation)
        return True

    def make_function(self, function: OwnFunction) -> None:
        """Make a function of riacho's own, unless the session has it."""
        key = ("function", function.name)
        with self._setting_up:
            if key in self._journal:
                return
        command = pb.Command(register_function=function.registration())
        for _ in self.set_up(key, self._request(pb.Plan(command=command))):
            pass

    def on_release(self, callback: Callable[[], None]) -> None:
        self._on_release.append(callback)

    def released(self) -> None:
        """The session has ended; called once, by the engine."""
        for callback in self._on_release:
            callback()
        self._on_release.clear()

    def interrupt(self) -> None:
        process = self._processes.current()
        if self.epoch != process.epoch:
            return
        request = pb.InterruptRequest(session_id=self.session_id, interrupt_type=pb.InterruptRequest.INTERRUPT_TYPE_ALL)
        request.user_context.user_id = self.user_id
        try:
            # Not through `call`: the call to be cancelled may be the one that is setting the session up.
            process.call("Interrupt", request.SerializeToString(), timeout_s=INTERRUPT_LIMIT_S)
        except grpc.RpcError as error:
            raise self._failure(process, error) from None

    def copy_journal(self, other: SailSession) -> None:
        """Set up here what is currently set up in `other`."""
        with other._setting_up:
            self._journal = dict(other._journal)
            self._storage = None
            self._own_views = dict(other._own_views)
            self.data_sources = dict(other.data_sources)
            self._current_database = other.current_database
            self.zone, self.zone_changed = other.zone, other.zone_changed

    @contextmanager
    def _serving(self) -> Iterator[EngineProcess]:
        process = self._processes.current()
        with process.in_use():
            self._set_up(process)
            yield process

    def _set_up(self, process: EngineProcess) -> None:
        """Bring a process that is new to this session to the session's state, and run `before_call` every time.

        `before_call` comes first, because what the session had set up may refer to tables that it registers.
        """
        if self._setting_up_thread == threading.get_ident():
            return
        with self._setting_up:
            self._setting_up_thread = threading.get_ident()
            try:
                is_new = self.epoch != process.epoch
                if is_new:
                    self._send(process, "Config", self._set_conf_request(TIME_ZONE, "UTC"))
                    self.epoch = process.epoch
                if self._before_call is not None:
                    self._before_call(self)
                if is_new:
                    self._replay(process)
            finally:
                self._setting_up_thread = None

    def _replay(self, process: EngineProcess) -> None:
        """Repeat the set-up. What no longer works, such as a view of a finished foreachBatch batch, is left out."""
        for key, (method, request) in self._journal.items():
            try:
                self._send(process, method, request + self._own_id)
            except SparkError as error:
                _log.warning("session %s: %s could not be restored: %s", self.session_id, key, error)

    def _send(self, process: EngineProcess, method: str, request: bytes) -> None:
        try:
            if method == "ExecutePlan":
                for _ in process.execute(request):
                    pass
            else:
                process.call(method, request)
        except grpc.RpcError as error:
            raise self._failure(process, error) from None

    def _failure(self, process: EngineProcess, error: grpc.RpcError) -> EngineLost | SparkError:
        gone = lost(error)
        if gone is not None:
            self._processes.discard(process)
            return gone
        return failures.from_rpc(error)

    def _replies(self, plan: pb.Plan) -> Iterator[pb.ExecutePlanResponse]:
        for reply in self.execute_plan(self._request(plan)):
            yield pb.ExecutePlanResponse.FromString(reply)

    def _prepare(self, request: pb.ExecutePlanRequest | pb.AnalyzePlanRequest, *, rows: bool) -> None:
        if self._prepares:
            self._preparation.message(request, Surroundings(self, rows))

    def _request(self, plan: pb.Plan) -> pb.ExecutePlanRequest:
        request = pb.ExecutePlanRequest(session_id=self.session_id, operation_id=new_uuid(), plan=plan)
        request.user_context.user_id = self.user_id
        return request

    def _analyze(self) -> pb.AnalyzePlanRequest:
        request = pb.AnalyzePlanRequest(session_id=self.session_id)
        request.user_context.user_id = self.user_id
        return request


def _tells_of_storage(key: Hashable) -> bool:
    """Whether what the journal has under `key` is a conf of object storage."""
    return isinstance(key, tuple) and key[0] == "conf" and is_storage_key(str(key[1]))


def _nothing_to_keep(_: Callable[[], None]) -> None:
    """A plan that is only analysed has no rows."""


def _batches(replies: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
    """The rows in the replies to a plan."""
    for data in replies:
        reply = pb.ExecutePlanResponse.FromString(data)
        if reply.HasField("arrow_batch"):
            yield from _decode(reply)


def _decode(reply: pb.ExecutePlanResponse) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(reply.arrow_batch.data) as reader:
        empty = True
        for batch in reader:
            empty = False
            yield batch
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)


def _local_rows(relation: pb.Relation) -> list[pa.RecordBatch]:
    if relation.WhichOneof("rel_type") != "local_relation" or not relation.local_relation.data:
        return []
    with pa.ipc.open_stream(relation.local_relation.data) as reader:
        return list(reader)
