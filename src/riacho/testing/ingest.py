"""An ingest server for tests: a stand-in for a queue that needs no broker.

What was sent can be read at once, on riacho and on any Spark server of this machine:

    with ingest_server(tmp_path) as server, server.client() as client:
        client.send("orders", [{"id": 1}, {"id": 2}])
        reader = spark.readStream.format("ingest").option("endpoint", "orders").option("path", server.folder)

It is a process of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from riacho.ingest.client import IngestClient
from riacho.testing.servers import running

_ADDRESS = re.compile(r"http://\S+?:\d+")


@dataclass(frozen=True)
class RunningIngest:
    """`url` is where events are posted, `folder` what the option `path` of the source takes, `log` what it printed."""

    url: str
    folder: str
    log: Path

    def client(self, token: str | None = None) -> IngestClient:
        """A connection, to be closed."""
        return IngestClient(self.url, token=token)


@contextmanager
def ingest_server(
    folder: Path,
    *,
    config: Path | None = None,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    limit_s: float = 30,
) -> Iterator[RunningIngest]:
    """`riacho ingest serve` on a free port, its logs in `folder`/ingest. Without `config` any endpoint is there.

    It is gone when the block is left. Raises ServerStartError.
    """
    place = folder / "ingest"
    command = [sys.executable, "-m", "riacho", "ingest", "serve", *([str(config.absolute())] if config else [])]
    command += ["--http", "127.0.0.1:0", "--folder", str(place.absolute()), *arguments]
    told = {"PYTHONUNBUFFERED": "1", **(environment or {})}
    with running("the ingest server", command, told, folder / "ingest.log", _ADDRESS, limit_s) as address:
        yield RunningIngest(address[0], str(place.absolute()), folder / "ingest.log")
