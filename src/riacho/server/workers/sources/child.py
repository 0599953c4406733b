"""A worker: the user's objects live here. It answers one message after the other until the server closes the socket.

What PySpark's own workers check and raise is checked and raised by the same functions, so the texts are Spark's. Each
answer is `ok` or `error`, the user's traceback, with the `stage` that failed where a command has several.
Source: `pyspark/sql/worker/create_data_source.py`.
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable

from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructType

from riacho.server.workers.sources import installed, told
from riacho.server.workers.sources.child_reads import ReadCommands
from riacho.server.workers.sources.child_streams import StreamCommands
from riacho.server.workers.sources.child_writes import WriteCommands
from riacho.server.workers.sources.objects import (
    Blobs,
    LostServer,
    Reply,
    StageError,
    class_of,
    dumps,
    made,
    mismatch,
    struct,
)
from riacho.server.workers.sources.wire import Channel, Message


def serve(connection: socket.socket) -> None:
    """Answer the messages of a connection until it ends."""
    channel = Channel(connection)
    worker = Worker(channel)
    try:
        channel.send({"pid": os.getpid()})
        while True:
            message, blobs = channel.receive()
            if "command" in message:  # and not a row of a task that has failed
                worker.answer(message, blobs)
            sys.stdout.flush()
    except ConnectionError:
        return


class Worker(ReadCommands, StreamCommands, WriteCommands):
    """The commands: `do_NAME`, each given the arguments and byte strings of a message. They raise what the user's code
    raises, and PySpark's errors for objects that are not what they should be.
    """

    def answer(self, message: Message, blobs: Blobs) -> None:
        """Do a command and send its answer. Raises ConnectionError."""
        command: Callable[..., Reply] = getattr(self, f"do_{message.pop('command')}")
        try:
            reply, results = command(blobs=blobs, **message)
        except LostServer as lost:
            raise ConnectionError from lost
        except StageError as error:
            self._channel.send(_told(error.cause, error.stage))
        except BaseException as error:  # noqa: BLE001 - whatever a user's code raises is an answer
            self._channel.send(_told(error))
        else:
            self._channel.send({"ok": True, **reply}, results)

    def do_find(self, names: list[str], blobs: Blobs) -> Reply:  # noqa: ARG002 - all commands are called alike
        """The classes of installed packages, by their entry points or modules (see `installed.py`)."""
        found: list[tuple[str, bytes]] = []
        for name in names:
            cls = installed.load(name)
            if isinstance(cls, type) and issubclass(cls, DataSource):
                found.append((cls.name(), dumps(cls)))
        return {"names": [name for name, _ in found]}, [data for _, data in found]

    def do_create(self, use: Message, schema: str | None, blobs: Blobs) -> Reply:
        """Make the data source, and tell its schema: the one given, or its own as JSON or DDL."""
        cls = class_of(blobs[0], use["provider"])
        given = None if schema is None else struct(schema)
        self._source = made(cls, use)
        own = self._source.schema() if given is None else given
        if isinstance(own, str):
            return {"schema": own, "is_ddl": True}, []
        if not isinstance(own, StructType):
            raise mismatch("'schema' to return a 'StructType' or a DDL string", own)
        return {"schema": own.json(), "is_ddl": False}, []


def _told(error: BaseException, stage: str = "") -> Message:
    text = "".join(traceback.format_exception(error))
    return {"error": text, "stage": stage, "raised": told.description(error)}
