"""A Spark session for one command: on a server of its own over a warehouse, or on one that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from riacho.cli.child import serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def session(
    warehouse: Path, remote: str | None, *, confs: Mapping[str, str] | None = None, verbose: bool = False
) -> Iterator[SparkSession]:
    """A session with `confs` set, on `remote` or else on a server over `warehouse` that lives as long as the block.

    Raises what PySpark raises when nothing answers at `remote`, and CommandError when our own server does not start.
    """
    if remote is not None:
        with connected(remote, confs) as spark:
            yield spark
        return
    with serving(warehouse, verbose=verbose) as child:
        import pyspark.sql  # noqa: F401 (loads for half a second; the server starts meanwhile)

        with connected(child.url(), confs) as spark:
            yield spark


@contextmanager
def connected(url: str, confs: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """A session of PySpark's own client at `url`, with `confs` set."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.remote(url)
    for key, value in {"spark.sql.connect.serverStacktrace.enabled": "false", **(confs or {})}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
