"""The process of a `foreach` function as the server has it: a batch goes there as Arrow data, never row by row.

The program on the other side is `foreach_program.py`. For each partition of a batch it is sent a JSON text that says
what it is, and then frames: an int64 length and an Arrow IPC stream of that many bytes. A length of 0 ends the
partition and -1 cuts it off. The answer, 0 or an error, comes after the last frame, or at once if the function fails.
"""

from __future__ import annotations

import json
import select
import struct
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from riacho.server.workers.python_worker import PythonWorker

PROGRAM: Final = "riacho.server.workers.foreach_program"
FRAME_BYTES: Final = 4 << 20
"""About so many bytes of rows go into a frame, so that the process needs little memory."""
_END, _CUT_OFF = 0, -1


class ForeachWorker(PythonWorker):
    """A running process that takes one partition after the other. All but `stop` raise ConnectionError if it ended.

    `function` is what the client pickled. Raises what `PythonWorker` raises, but knows nothing of the function yet: it
    is loaded anew for each partition, so that no partition sees what another one left in it.
    """

    def __init__(self, function: bytes) -> None:
        super().__init__(PROGRAM, connect_url="", session_id="", function=function)

    def begin(self, partition: Mapping[str, Any]) -> None:
        """Begin a partition; what it says is listed in `foreach_program.Partition`."""
        self._write(json.dumps(partition).encode())

    def send(self, rows: pa.RecordBatch) -> bool:
        """Hand rows over. False: the function has failed meanwhile, and `finish` says how."""
        assert self._connection is not None
        step = max(rows.num_rows * FRAME_BYTES // max(rows.nbytes, 1), 1)
        for start in range(0, rows.num_rows, step):
            if select.select([self._connection], [], [], 0)[0]:
                return False
            self._send_frame(rows.slice(start, step))
        return True

    def _send_frame(self, rows: pa.RecordBatch) -> None:
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, rows.schema) as writer:
            writer.write_batch(rows)
        data = out.getvalue()
        self._send(struct.pack(">q", data.size))
        self._send(data)

    def finish(self) -> None:
        """There are no more rows: wait until the function is done with them. Raises WorkerFailed."""
        self._end(_END)

    def cut_off(self) -> None:
        """There are more rows, but they will not come: the function hears of an error. Raises WorkerFailed."""
        self._end(_CUT_OFF)

    def _end(self, how: int) -> None:
        self._send(struct.pack(">q", how))
        self._read_answer()
