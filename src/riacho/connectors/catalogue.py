"""All connectors in one table: what `riacho connectors` prints and docs/connectors.md shows.

Whoever adds a connector adds an `Entry`, its option tables by name, and its documentation page. Nothing of a connector
is imported for this: `tables` imports what holds its options when somebody asks for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, cast

from riacho.options import Option

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "avro": ("fastavro",),
    "faker": ("faker",),
    "ingest": ("starlette", "uvicorn"),
    "jdbc": ("adbc_driver_manager", "adbc_driver_postgresql", "adbc_driver_sqlite"),
    "kafka": ("confluent_kafka",),
    "mongodb": ("pymongo", "pymongoarrow"),
    "postgres": ("psycopg", "tenacity"),
    "rest": ("httpx", "tenacity"),
    "s3": ("obstore",),
}
"""What is imported where an extra of pyproject.toml is installed."""

ONCE: Final = "exactly once"
AT_LEAST: Final = "at least once"


@dataclass(frozen=True)
class Entry:
    """One connector.

    `batch` and `stream`: what it can do there, of "read", "write". `reads` and `writes`: what a stream guarantees, into
    Delta and from a stream; None where it has no stream that way. `extra`: what `pip install 'riacho[extra]'` is needed
    for. `options`: titles and where each table is, `module:ATTRIBUTE`. `page`: under docs/, with an anchor if need be.
    `any_spark`: it runs on any Spark server after `riacho.connectors.register`.
    """

    name: str
    summary: str
    page: str
    batch: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    reads: str | None = None
    writes: str | None = None
    extra: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    any_spark: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether what it needs is there."""
        return self.extra is None or all(find_spec(module) is not None for module in EXTRAS[self.extra])

    @property
    def guarantee(self) -> str:
        """Both promises in a few words."""
        told = [(way, word) for way, word in (("read", self.reads), ("written", self.writes)) if word]
        if len({word for _, word in told}) == 1:
            return told[0][1]
        return "; ".join(f"{way}: {word}" for way, word in told)

    def tables(self) -> list[tuple[str, tuple[Option, ...]]]:
        """Its option tables with their titles. Imports the modules that hold them, which need no extra."""
        return [(title, _table(reference)) for title, reference in self.options]


BOTH: Final = ("read", "write")
READ: Final = ("read",)
_FILES: Final = "riacho.server.formats.options"
_WRITES: Final = "riacho.server.formats.write.options"


def _files(name: str, summary: str, *, writes: bool = True, extra: str | None = None) -> Entry:
    """A format of files in folders."""
    tables = [("reading", f"{_FILES}:{name.upper()}")]
    if name == "binaryFile":
        tables = [("reading", f"{_FILES}:BINARY")]
    tables += [("which files", f"{_FILES}:LISTING"), ("streams", f"{_FILES}:STREAM")]
    if writes:
        tables += [("writing", f"{_WRITES}:{name.upper()}"), ("writing, all formats", f"{_WRITES}:COMMON")]
    return Entry(
        name,
        summary,
        "file-sources.md",
        batch=BOTH if writes else READ,
        stream=BOTH if writes else READ,
        reads=ONCE,
        writes=ONCE if writes else None,
        extra=extra,
        options=tuple(tables),
    )


CATALOGUE: Final[tuple[Entry, ...]] = (
    Entry(
        "delta",
        "Delta tables, by name or by folder; their versions and change feeds",
        "delta.md",
        batch=BOTH,
        stream=BOTH,
        reads=ONCE,
        writes=ONCE,
        options=(
            ("reading a stream", "riacho.server.streaming.sources.delta.options:OPTIONS"),
            ("reading the change feed", "riacho.server.catalog.change_feed:OPTIONS"),
            ("writing a batch", "riacho.server.catalog.write:OPTIONS"),
            ("writing a stream", "riacho.server.streaming.sinks.delta:OPTIONS"),
        ),
    ),
    _files("parquet", "Parquet files"),
    _files("json", "files of JSON lines, or of one JSON document each"),
    _files("csv", "files of comma-separated values"),
    _files("text", "files of lines of text"),
    _files("orc", "ORC files"),
    _files("avro", "Avro files", extra="avro"),
    _files("xml", "XML files", writes=False),
    _files("binaryFile", "whole files as bytes", writes=False),
    Entry(
        "cloudFiles",
        "new files of a folder (Auto Loader)",
        "file-sources.md#cloudfiles",
        stream=READ,
        reads=ONCE,
        options=(("reading", "riacho.server.streaming.sources.cloud_options:CLOUD"),),
    ),
    Entry(
        "kafka",
        "topics of Kafka",
        "kafka.md",
        batch=BOTH,
        stream=BOTH,
        reads=ONCE,
        writes=f"{AT_LEAST}; {ONCE} with riacho.exactlyOnce",
        extra="kafka",
        options=(
            ("reading", "riacho.server.kafka.options:OPTIONS"),
            ("writing", "riacho.server.kafka.writer:OPTIONS"),
        ),
    ),
    Entry(
        "mongodb",
        "collections of MongoDB, and their changes",
        "mongodb.md",
        batch=BOTH,
        stream=BOTH,
        reads=ONCE,
        writes=ONCE,
        extra="mongodb",
        options=(
            ("reading", "riacho.connectors.mongodb.options:READ"),
            ("writing", "riacho.connectors.mongodb.options:WRITE"),
        ),
        aliases=(
            "mongo",
            "com.mongodb.spark.sql",
            "com.mongodb.spark.sql.DefaultSource",
            "com.mongodb.spark.sql.connector.MongoTableProvider",
        ),
    ),
    Entry(
        "rate",
        "generated rows, so many a second",
        "streaming.md#generated-rows",
        stream=READ,
        reads=ONCE,
        options=(("reading", "riacho.server.streaming.sources.rate:RATE_OPTIONS"),),
    ),
    Entry(
        "rate-micro-batch",
        "generated rows, so many a batch",
        "streaming.md#generated-rows",
        stream=READ,
        reads=ONCE,
        options=(("reading", "riacho.server.streaming.sources.rate:RATE_PER_BATCH_OPTIONS"),),
    ),
    Entry(
        "socket",
        "lines that a TCP server sends, to try things out",
        "streaming.md#sources",
        stream=READ,
        reads="at most once",
        options=(("reading", "riacho.server.streaming.sources.socket:OPTIONS"),),
    ),
    Entry(
        "jdbc",
        "tables and queries of SQL databases: PostgreSQL, SQLite",
        "jdbc.md",
        batch=BOTH,
        extra="jdbc",
        options=(("reading and writing", "riacho.connectors.jdbc.options:OPTIONS"),),
    ),
    Entry(
        "postgres_cdc",
        "the changes of PostgreSQL's tables, after a snapshot",
        "postgres-cdc.md",
        stream=READ,
        reads=ONCE,
        extra="postgres",
        options=(("reading", "riacho.connectors.postgres_cdc.settings:OPTIONS"),),
        any_spark=True,
    ),
    Entry(
        "postgres_incremental",
        "new and changed rows of a PostgreSQL table, by a column that grows",
        "postgres-incremental.md",
        stream=READ,
        reads=ONCE,
        extra="postgres",
        options=(("reading", "riacho.connectors.postgres_incremental.settings:OPTIONS"),),
        any_spark=True,
    ),
    Entry(
        "faker",
        "made-up rows: Faker's names and addresses, distributions, rates, bursts",
        "faker.md",
        batch=READ,
        stream=READ,
        reads=ONCE,
        extra="faker",
        options=(("reading", "riacho.connectors.faker.options:OPTIONS"),),
        any_spark=True,
    ),
    Entry(
        "rest",
        "HTTP interfaces that answer in JSON",
        "rest.md",
        batch=BOTH,
        stream=BOTH,
        reads=ONCE,
        writes="at least once, with a key for each request",
        extra="rest",
        options=(
            ("reading", "riacho.connectors.rest.options:OPTIONS"),
            ("writing", "riacho.connectors.rest.options:SINK"),
        ),
        any_spark=True,
    ),
    Entry(
        "ingest",
        "events that were posted over HTTP",
        "ingest.md",
        batch=READ,
        stream=READ,
        reads=ONCE,
        extra="ingest",
        options=(("reading", "riacho.connectors.ingest.options:READ"),),
        any_spark=True,
    ),
)
"""In the order in which they are listed."""


def entry(name: str) -> Entry | None:
    """The connector of that name, in any case, or of one of its other names."""
    wanted = name.lower()
    return next((each for each in CATALOGUE if wanted in {n.lower() for n in (each.name, *each.aliases)}), None)


def _table(reference: str) -> tuple[Option, ...]:
    module, _, name = reference.partition(":")
    return tuple(cast(tuple[Option, ...], getattr(importlib.import_module(module), name)))
