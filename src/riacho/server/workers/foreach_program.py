"""The program of a process that runs a `foreach` function: partition after partition, with rows made of Arrow data.

What the client pickled is a function of a partition's number and an iterator of its rows, which calls the user's
function for each row, or `open`, `process` and `close` of the user's object. `foreach_worker.py` says what comes over
the socket. Source: `pyspark/worker.py` (NON_UDF) and `DataStreamWriter._construct_foreach_function`.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import struct
import traceback
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any, TypedDict

import pyarrow as pa
from pyspark.cloudpickle import cloudpickle
from pyspark.sql.types import Row, StructType
from pyspark.taskcontext import TaskContext

from riacho.server.workers.rows import rows_of

ROWS_AT_ONCE = 1024
"""So many rows are Python objects at a time."""
_FAILED = -2


class Partition(TypedDict):
    """One partition of a batch. `schema`: of its rows, as Spark's JSON. `properties`: of the task, for the function."""

    id: int
    attempt: int
    schema: str
    properties: dict[str, str]


class CutOffError(RuntimeError):
    """The rest of a partition does not come: the query was stopped, or the batch will be repeated."""

    def __init__(self) -> None:
        super().__init__("the rest of the partition does not come; it is repeated if the query goes on")


class Frames:
    """The rows of one partition, in the order in which they come."""

    def __init__(self, file: BufferedIOBase, schema: StructType) -> None:
        self._file = file
        self._schema = schema
        self._ended = False

    def rows(self) -> Iterator[Row]:
        """Raises CutOffError."""
        while (data := self._next()) is not None:
            with pa.ipc.open_stream(data) as reader:
                for batch in reader:
                    for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                        yield from rows_of(batch.slice(start, ROWS_AT_ONCE), self._schema)

    def drain(self) -> None:
        """Leave what the function has not read."""
        while not self._ended:
            self._next(read=False)

    def _next(self, *, read: bool = True) -> bytes | None:
        if self._ended:
            return None
        (size,) = struct.unpack(">q", _read(self._file, 8))
        if size > 0:
            return _read(self._file, size)
        self._ended = True
        if size < 0 and read:
            raise CutOffError
        return None


def main(file: BufferedIOBase) -> None:
    """Work until the server closes the connection. Raises EOFError or ConnectionError then, which `program` takes."""
    _read_frame(file)  # the server's version of Python, which is this one's
    _read_frame(file)  # the client's session, of no use here
    function = _read_frame(file)
    _write(file, struct.pack(">i", 0))
    gc.freeze()  # modules are not looked through again and again while rows come and go
    while True:
        partition: Partition = json.loads(_read_frame(file))
        frames = Frames(file, StructType.fromJson(json.loads(partition["schema"])))
        try:
            _run(function, partition, frames.rows())
        except BaseException:  # noqa: BLE001 - also SystemExit, as in Spark
            told = traceback.format_exc().encode()
            _write(file, struct.pack(">ii", _FAILED, len(told)) + told)
            frames.drain()
        else:
            frames.drain()
            _write(file, struct.pack(">i", 0))


def _run(pickled: bytes, partition: Partition, rows: Iterator[Row]) -> None:
    TaskContext.from_json(
        {
            "stageId": 0,
            "partitionId": partition["id"],
            "attemptNumber": partition["attempt"],
            "taskAttemptId": int(partition["properties"]["streaming.sql.batchId"]),
            "cpus": 1,
            "resources": {},
            "localProperties": partition["properties"],
        }
    )  # which the function finds with `TaskContext.get()`
    function: Any = cloudpickle.loads(pickled)[0]
    for _ in function(partition["id"], rows):
        pass


def _read_frame(file: BufferedIOBase) -> bytes:
    (size,) = struct.unpack(">i", _read(file, 4))
    return _read(file, size)


def _read(file: BufferedIOBase, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _write(file: BufferedIOBase, data: bytes) -> None:
    file.write(data)
    file.flush()


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(os.environ["PYTHON_WORKER_FACTORY_SOCK_PATH"])
        with connection.makefile("rwb") as file:
            _write(file, struct.pack(">i", os.getpid()))
            main(file)
