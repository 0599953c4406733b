"""The option tables of the documentation are those that options are checked against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from riacho.connectors import bad_records
from riacho.connectors.faker import options as faker
from riacho.connectors.ingest import options as ingest_options
from riacho.connectors.jdbc import options as jdbc
from riacho.connectors.mongodb import options as mongodb
from riacho.connectors.postgres_cdc import settings as postgres_cdc
from riacho.connectors.postgres_incremental import settings as postgres_incremental
from riacho.connectors.rest import options as rest
from riacho.options import Option
from riacho.server.catalog import change_feed, write
from riacho.server.files import path_writes
from riacho.server.formats import options
from riacho.server.formats.avro import options as avro_options
from riacho.server.formats.write import options as write_options
from riacho.server.kafka import options as kafka_source
from riacho.server.kafka import writer as kafka_sink
from riacho.server.streaming.sinks import console
from riacho.server.streaming.sinks import delta as delta_sink
from riacho.server.streaming.sinks import files as file_sink
from riacho.server.streaming.sources import rate, socket
from riacho.server.streaming.sources.cloud_options import CLOUD
from riacho.server.streaming.sources.delta import options as delta_source

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES: dict[str, dict[str, Sequence[Option]]] = {
    "kafka.md": {"KAFKA_SOURCE": kafka_source.OPTIONS, "KAFKA_SINK": kafka_sink.OPTIONS},
    "jdbc.md": {"JDBC": jdbc.OPTIONS},
    "postgres-incremental.md": {"POSTGRES_INCREMENTAL": postgres_incremental.OPTIONS},
    "mongodb.md": {"MONGODB_READ": mongodb.READ, "MONGODB_WRITE": mongodb.WRITE},
    "postgres-cdc.md": {"POSTGRES_CDC": postgres_cdc.OPTIONS},
    "rest.md": {"REST": rest.OPTIONS, "REST_SINK": rest.SINK},
    "faker.md": {"FAKER": faker.OPTIONS},
    "ingest.md": {"INGEST": ingest_options.READ},
    "bad-records.md": {"BAD_RECORDS": bad_records.OPTIONS},
    "avro.md": {"FROM_AVRO": avro_options.TABLE},
    "file-sources.md": {
        "LISTING": options.LISTING,
        "STREAM": options.STREAM,
        "JSON": options.JSON,
        "CSV": options.CSV,
        "PARQUET": options.PARQUET,
        "ORC": options.ORC,
        "TEXT": options.TEXT,
        "AVRO": options.AVRO,
        "XML": options.XML,
        "BINARY": options.BINARY,
        "CLOUD": CLOUD,
    },
    "file-sinks.md": {
        "FILE_SINK": file_sink.OPTIONS,
        "COMMON": write_options.COMMON,
        "BATCH": path_writes.OPTIONS,
        "WRITE_JSON": write_options.JSON,
        "WRITE_CSV": write_options.CSV,
        "WRITE_TEXT": write_options.TEXT,
        "WRITE_PARQUET": write_options.PARQUET,
        "WRITE_ORC": write_options.ORC,
        "WRITE_AVRO": write_options.AVRO,
    },
    "delta.md": {
        "DELTA_SOURCE": delta_source.OPTIONS,
        "DELTA_CHANGE_FEED": change_feed.OPTIONS,
        "DELTA_SINK": delta_sink.OPTIONS,
        "DELTA_WRITER": write.OPTIONS,
    },
    "streaming.md": {
        "RATE": rate.RATE_OPTIONS,
        "RATE_PER_BATCH": rate.RATE_PER_BATCH_OPTIONS,
        "SOCKET": socket.OPTIONS,
        "CONSOLE": console.OPTIONS,
    },
}
"""The tables of each page, by the names of their marks."""
TABLES = [(page, name, table) for page, tables in PAGES.items() for name, table in tables.items()]


def rendered(table: Sequence[Option]) -> str:
    """A table of options as the page shows it."""
    lines = ["| option | default | what it does |", "|---|---|---|"]
    for option in table:
        names = " ".join(f"`{name}`" for name in (option.name, *option.aliases))
        default = "" if option.default is None else _shown(option.default)
        help_text = option.help.replace("|", "\\|")
        lines.append(f"| {names} | {default} | {help_text if option.supported else f'*refused*: {help_text}'} |")
    return "\n".join(lines)


def _shown(default: str) -> str:
    """An empty text is said in a word: in code it would look like a space."""
    return f"`{shown}`" if (shown := default.replace("|", "\\|")) else "empty"


@pytest.mark.parametrize(("page", "name", "table"), TABLES, ids=[name for _, name, _ in TABLES])
def test_the_page_shows_the_table(page: str, name: str, table: Sequence[Option]) -> None:
    assert f"<!-- options: {name} -->\n\n{rendered(table)}\n" in (DOCS / page).read_text(), (
        f"the table {name} should be:\n\n{rendered(table)}"
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_no_other_tables(page: str) -> None:
    assert re.findall(r"<!-- options: (\w+) -->", (DOCS / page).read_text()) == list(PAGES[page])
