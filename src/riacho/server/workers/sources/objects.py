"""What the commands of a worker share: the user's objects, pickling them, and telling what went wrong."""

from __future__ import annotations

import inspect
from typing import Any, Final

import pyarrow as pa
from pyspark import TaskContext
from pyspark.errors import PySparkAssertionError, PySparkTypeError
from pyspark.sql.datasource import CaseInsensitiveDict, DataSource
from pyspark.sql.types import StructType, _parse_datatype_json_string
from pyspark.worker_util import pickleSer

from riacho.server.workers.sources.conversion import to_batches
from riacho.server.workers.sources.wire import Channel, Message

Blobs = list[bytearray]
Reply = tuple[Message, list[bytes]]
_pickle: Final[Any] = pickleSer

CONF: Final = "__conf."
"""Before the names of options that are confs of the session and nothing else."""


def dumps(value: object) -> bytes:
    """A user's object as bytes, with its code where the code is not that of an installed package."""
    data: bytes = _pickle.dumps(value)
    return data


def loads(data: bytearray) -> Any:
    """The object that `dumps` was given."""
    return _pickle.loads(bytes(data))


def in_task(properties: dict[str, str]) -> None:
    """Let the user's code find a `TaskContext` with these local properties, as Spark's tasks do."""
    TaskContext.from_json(
        {
            "stageId": 0,
            "partitionId": 0,
            "attemptNumber": 0,
            "taskAttemptId": 0,
            "cpus": 1,
            "resources": {},
            "localProperties": properties,
        }
    )


class StageError(Exception):
    """What a user's code raised in a named step of a command."""

    def __init__(self, stage: str, cause: BaseException) -> None:
        super().__init__(stage)
        self.stage = stage
        self.cause = cause


class Stage:
    """The step of a command that an error is told to be of."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Begin the step."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            raise StageError(self._name, error) from error


class UserObjects:
    """One user's data source, its reader or its writer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._source: Any = None
        self._schema = StructType()
        self._reader: Any = None

    def _pickled_reader(self, reader: Any) -> bytes:
        """A reader with what its rows are checked against."""
        return dumps((reader, self._source, self._schema))

    def _send_rows(self, rows: Any) -> None:
        """Rows on their way to the server, checked as Spark checks them."""
        schema: pa.Schema | None = None
        for batch in to_batches(iter(rows), self._schema, self._source):
            if schema is None:
                schema = batch.schema
                self._tell({"schema": True}, [schema.serialize()])
            elif not batch.schema.equals(schema):
                raise pa.ArrowInvalid("Tried to write record batch with different schema")
            self._tell({"batch": True}, [batch.serialize()])

    def _tell(self, message: Message, blobs: list[Any]) -> None:
        """Send a part of an answer. A server that is gone is no error of the user's code."""
        try:
            self._channel.send(message, blobs)
        except ConnectionError as error:
            raise LostServer from error


class LostServer(Exception):  # noqa: N818 - what happened, not what is wrong
    """The server has closed the connection while rows were sent to it."""


def mismatch(expected: str, actual: object) -> PySparkAssertionError:
    """What PySpark raises where a user's code gave something else than it should have."""
    return PySparkAssertionError(
        errorClass="DATA_SOURCE_TYPE_MISMATCH",
        messageParameters={"expected": expected, "actual": f"'{type(actual).__name__}'"},
    )


def class_of(data: bytearray, provider: str | None) -> Any:
    """A data source class that a client sent, and that has the name it was registered under, unless it may have others.

    Raises PySparkTypeError and PySparkAssertionError for what is no such class.
    """
    cls = loads(data)
    if not (isinstance(cls, type) and issubclass(cls, DataSource)):
        raise mismatch("a subclass of DataSource", cls)
    if not inspect.ismethod(cls.name):
        raise PySparkTypeError(
            errorClass="DATA_SOURCE_TYPE_MISMATCH",
            messageParameters={
                "expected": "'name()' method to be a classmethod",
                "actual": f"'{type(cls.name).__name__}'",
            },
        )
    name = cls.name()
    if provider is not None and provider.lower() != name.lower():
        raise PySparkAssertionError(
            errorClass="DATA_SOURCE_TYPE_MISMATCH",
            messageParameters={"expected": f"provider with name {name}", "actual": f"'{provider}'"},
        )
    return cls


def made(cls: Any, use: Message) -> Any:
    """A data source as `UserSource` asks for it.

    The class may name confs of the session that it takes for options, by their beginnings: `session_conf_prefixes`.
    They are there under their own names, where what the user gave counts more, and with `CONF` before them.
    """
    prefixes = tuple(getattr(cls, "session_conf_prefixes", ()))
    confs = {key: value for key, value in use["confs"].items() if key.startswith(prefixes)}
    options = CaseInsensitiveDict(confs)
    options.update(use["options"])
    options.update({CONF + key: value for key, value in confs.items()})
    return cls(options=options)


def struct(schema: str) -> StructType:
    """The columns that JSON describes."""
    parsed = _parse_datatype_json_string(schema)
    assert isinstance(parsed, StructType)
    return parsed
