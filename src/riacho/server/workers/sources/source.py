"""A registered data source as it is used: its class, its options and its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.conf import SESSION_TIME_ZONE
from riacho.connectors.names import ON_ANY_SPARK
from riacho.ids import BatchId, QueryId
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.engine.stopping import Check
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.wire import Message
from riacho.server.workers.sources.worker import SourceWorker, UserCodeFailed


class ModeRefused(Exception):  # noqa: N818 - what happened, not what is wrong
    """The data source cannot be written in this save mode."""


@dataclass(frozen=True)
class MadeWriter:
    """A writer, pickled, and how many tasks it takes at most; None for as many as there are."""

    data: bytearray
    most_tasks: int | None


class UserSource:
    """What one read asks a data source for; nothing runs before the schema or a worker is asked for.

    `options` are as the user spelled them; `given` is the schema that the user gave.
    """

    def __init__(
        self,
        name: str,
        found: UserClass,
        options: Mapping[str, str],
        session: EngineSession,
        given: pa.Schema | None = None,
    ) -> None:
        self.name = name
        self.found = found
        self.options = options
        self.session = session
        self._schema = given

    @property
    def schema(self) -> pa.Schema:
        """The columns it gives: those that the user gave, or what its `schema` says, which is asked once.

        Raises PYTHON_DATA_SOURCE_ERROR, ParseError.
        """
        if self._schema is None:
            self.make().stop()
        assert self._schema is not None
        return self._schema

    @property
    def schema_json(self) -> str:
        """The same as Spark's JSON."""
        return types.to_json(self.schema)

    @contextmanager
    def made(self, check_stop: Check | None = None) -> Iterator[SourceWorker]:
        """A worker that has made the data source; it ends with the context. Raises as `schema`."""
        worker = self.make(check_stop)
        try:
            yield worker
        finally:
            worker.stop()

    def writer(self, worker: SourceWorker, mode: str) -> MadeWriter | None:
        """A writer of rows with the schema; `worker` has made it and can commit. None: nothing is to be done.

        Raises PYTHON_DATA_SOURCE_ERROR, ModeRefused.
        """
        answer, writers = self._planned(worker, "plan_write", mode=mode)
        if "refused" in answer:
            raise ModeRefused(mode)
        return None if "nothing" in answer else MadeWriter(writers[0], answer["most_tasks"])

    def stream_writer(
        self, worker: SourceWorker, *, overwrite: bool, query_id: QueryId, batch_id: BatchId
    ) -> MadeWriter:
        """The same for a batch of a stream."""
        answer, (writer,) = self._planned(
            worker, "plan_stream_write", overwrite=overwrite, query_id=query_id, batch_id=batch_id
        )
        return MadeWriter(writer, answer["most_tasks"])

    def _planned(self, worker: SourceWorker, command: str, **how: object) -> tuple[Message, list[bytearray]]:
        try:
            return worker.call(command, [self.found.code], use=self._use(), schema=self.schema_json, **how)
        except UserCodeFailed as failure:
            raise refused("initialize", "writer", failure) from None

    def _use(self) -> Message:
        """What a worker makes the data source with. A connector is not asked for its name: it may have several."""
        keys = self.session.conf_keys
        confs = self.session.get_confs(dict.fromkeys(keys, "")) if keys else {}
        if SESSION_TIME_ZONE.key in confs:
            confs[SESSION_TIME_ZONE.key] = self.session.zone.text  # the engine may have another word for it
        own = self.found.connector or self.name.lower() in ON_ANY_SPARK
        return {
            "provider": None if self.found.connector else self.name,
            "options": {**self.options, **(self.session.server_options(self.options) if own else {})},
            "confs": confs,
        }

    def make(self, check_stop: Check | None = None) -> SourceWorker:
        """A worker that has made the data source, to be stopped by the caller. Raises PYTHON_DATA_SOURCE_ERROR."""
        known = None if self._schema is None else self.schema_json
        worker: SourceWorker | None = None
        try:
            worker = SourceWorker(check_stop)
            answer, _ = worker.call("create", [self.found.code], use=self._use(), schema=known)
            if self._schema is None:
                text = answer["schema"]
                self._schema = self.session.parse_ddl(text) if answer["is_ddl"] else types.from_json(text)
        except BaseException as error:
            if worker is not None:
                worker.stop()
            if isinstance(error, UserCodeFailed):
                raise refused("create", "instance", error) from None
            raise
        return worker
