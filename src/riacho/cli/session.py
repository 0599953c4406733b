"""A Spark session for one command: on a server of its own over a warehouse, or on one that is there already."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from riacho.cli import options
from riacho.cli.child import serving
from riacho.cli.failures import CommandError
from riacho.conf import SERVER_STACK_TRACE
from riacho.storage import Place

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


ANSWER_LIMIT_S = 5.0
RETRIES = 5
OWN_RETRIES = 3
"""How often a lost server is asked again, with pauses of 50 ms and four times longer each time: 17 s in all. Our own
child on this machine does not come back: 1 s."""


@contextmanager
def session(
    warehouse: Place, remote: str | None, *, confs: Mapping[str, str] | None = None, verbose: bool = False
) -> Iterator[SparkSession]:
    """A session with `confs` set, on `remote` or else on a server over `warehouse` that lives as long as the block.

    Raises CommandError when nothing answers at `remote`, or our own server does not start.
    """
    if remote is not None:
        _require_listener(remote)
        with connected(remote, confs) as spark:
            yield spark
        return
    with serving(warehouse, verbose=verbose) as child:
        import pyspark.sql  # noqa: F401 (loads for half a second; the server starts meanwhile)

        with connected(child.url(), confs, OWN_RETRIES) as spark, child.blamed():
            yield spark


@contextmanager
def connected(url: str, confs: Mapping[str, str] | None = None, retries: int = RETRIES) -> Iterator[SparkSession]:
    """A session of PySpark's own client at `url`, with `confs` set. It gives a lost server seconds, not ten minutes."""
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy

    _hush()
    builder = SparkSession.builder.remote(url)
    for key, value in {SERVER_STACK_TRACE.key: "false", **(confs or {})}.items():
        builder = builder.config(key, value)
    # Not `getOrCreate`, which would give (and we would stop) a session that this process has on another server.
    spark = builder.create()
    spark.client.set_retry_policies([DefaultPolicy(max_retries=retries)])
    try:
        yield spark
    finally:
        spark.stop()


def _hush() -> None:
    """Keep the client from saying on standard error what the exception that follows says again."""
    from pyspark.logger import PySparkLogger

    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


def _require_listener(url: str) -> None:
    """Refuse an address where nothing listens: PySpark's client would go on trying for ten minutes.

    Raises CommandError.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or options.DEFAULT_PORT
        socket.create_connection((host, port), ANSWER_LIMIT_S).close()
    except ValueError:
        raise CommandError(f"{url} is not the address of a Spark Connect server", "write sc://HOST:PORT") from None
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "is a server running there? `riacho up` starts one"
        raise CommandError(f"nothing answers at {url}: {reason}", hint) from None
