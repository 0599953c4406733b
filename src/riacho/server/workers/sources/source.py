"""A registered data source as it is used: its class, its options and its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from riacho import types
from riacho.server.engine.base import EngineSession
from riacho.server.engine.stopping import Check
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.worker import SourceWorker, UserCodeFailed


class UserSource:
    """What one read asks a data source for; nothing runs before the schema or a worker is asked for.

    `code` is the class, pickled; `options` are as the user spelled them; `given` is the schema that the user gave.
    """

    def __init__(
        self,
        name: str,
        code: bytes,
        options: Mapping[str, str],
        session: EngineSession,
        given: pa.Schema | None = None,
    ) -> None:
        self.name = name
        self.code = code
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

    def writer(self, worker: SourceWorker, *, overwrite: bool, streaming: bool) -> bytearray:
        """A writer of rows with the schema, pickled; `worker` has made it and can commit.

        Raises PYTHON_DATA_SOURCE_ERROR.
        """
        try:
            _, (writer,) = worker.call(
                "plan_write",
                [self.code],
                provider=self.name,
                schema=self.schema_json,
                options=dict(self.options),
                overwrite=overwrite,
                streaming=streaming,
            )
        except UserCodeFailed as failure:
            raise refused("initialize", "writer", failure) from None
        return writer

    def make(self, check_stop: Check | None = None) -> SourceWorker:
        """A worker that has made the data source, to be stopped by the caller. Raises PYTHON_DATA_SOURCE_ERROR."""
        known = None if self._schema is None else self.schema_json
        worker: SourceWorker | None = None
        try:
            worker = SourceWorker(check_stop)
            answer, _ = worker.call("create", [self.code], provider=self.name, schema=known, options=dict(self.options))
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
