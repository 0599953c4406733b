"""`riacho ingest`: take events over HTTP, send some, see what is there."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import CommandError
from riacho.cli.ingest_child import DEFAULT_HTTP
from riacho.cli.terminal import ago, aside, counted, notes, output, size, warn
from riacho.ids import new_uuid

if TYPE_CHECKING:
    from riacho.connectors.ingest.log import LogFolder, ReaderPosition
    from riacho.ingest.config import IngestConfig
    from riacho.storage import Place

EXAMPLES = """[bold]Examples[/]
  riacho ingest serve                                 [dim]any endpoint, on this machine alone[/]
  riacho ingest serve ingest.yml --http 0.0.0.0:8080  [dim]the endpoints of a file[/]
  riacho ingest send orders orders.ndjson             [dim]a file; - is standard input[/]
  riacho ingest status                                [dim]what the logs hold, and who has read how much[/]
"""

app = typer.Typer(name="ingest", help="Take events over HTTP, to be read as a stream.", no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="FOLDER", help="Where the events are kept; by default in the warehouse.",
        envvar="RIACHO_INGEST_FOLDER",
    ),
]  # fmt: skip
Url = Annotated[str, typer.Option("--url", metavar="URL", help="The server.", envvar="RIACHO_INGEST_URL")]


@app.command(epilog=EXAMPLES)
def serve(
    file: Annotated[Path | None, typer.Argument(help="The file with the endpoints; any name is taken without.")] = None,
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")]
    = DEFAULT_HTTP,
    folder: Folder = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Stop when standard input ends, for use as a child process.")
    ] = False,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:  # fmt: skip
    """Take events at POST /ingest/NAME until stopped. An event is acknowledged when it is on disk.

    A riacho server over the same warehouse reads them: spark.readStream.format("ingest").option("endpoint", "NAME").
    """
    from riacho.ingest.serve import IngestService

    host, port = address(http)
    config = configured(file, host)
    place = folder or kept_in(warehouse)
    service = IngestService(place.absolute(), config, host=host, port=port)
    if until_eof:
        threading.Thread(target=_at_eof, args=(service.stop,), name="riacho-until-eof", daemon=True).start()
    output().print(service.url, style="bold cyan", soft_wrap=True)
    sys.stdout.flush()
    names = ", ".join(config.endpoints) + (" and any other name" if config.endpoints and config.open else "")
    if not until_eof:  # who started us says what there is to say
        aside(notes(), f"endpoints: {names or 'any name'} · kept in {place.absolute()} · Ctrl-C stops")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop())
    service.run()
    if not until_eof:
        aside(notes(), "stopped")
    else:
        # Not by returning: a thread still reads standard input.
        sys.stdout.flush()
        os._exit(0)


@app.command(epilog=EXAMPLES)
def send(
    endpoint: Annotated[str, typer.Argument(help="The name of the endpoint.")],
    file: Annotated[Path, typer.Argument(help="A file of JSON lines, JSON or CSV, plain or .gz; - is standard input.")],
    url: Url = f"http://{DEFAULT_HTTP}",
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TOKEN", help="The endpoint's token.", envvar="RIACHO_INGEST_TOKEN"),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="ndjson, json or csv; by default what the name says.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Send it even if it was sent before.")] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Events in a request.")] = 5000,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Send a file. What has been sent is on the server's disk; sending the same file again adds nothing.

    Each request has an idempotency key of its content and its place in the file, so a command that was cut off can be
    repeated. What comes from standard input is always new.
    """
    from riacho.ingest.client import IngestClient

    kind = _kind(file, format)
    accepted = repeated = aside_count = 0
    with IngestClient(url, token=token) as client, _opened(file) as given:
        turn = new_uuid() if again or str(file) == "-" else ""
        seen = hashlib.sha256(f"{endpoint}\n{kind}\n{turn}".encode())
        for body in _bodies(given, kind, batch):
            # What stood before a portion is part of its key: a line that comes twice in a file counts twice.
            seen.update(body)
            receipt = client.post(endpoint, body, _TYPES[kind], key=f"send-{seen.hexdigest()[:40]}")
            accepted += receipt.accepted
            repeated += receipt.accepted if receipt.repeated else 0
            aside_count += receipt.dead_letters
    told = f"{counted(accepted - repeated, 'event')} sent to {endpoint}"
    if repeated:
        told += f" · {repeated:,} were there already"
    if aside_count:
        told += f" · {aside_count:,} set aside as dead letters"
    output().print(told)


@app.command(epilog=EXAMPLES)
def status(
    folder: Folder = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    format: options.Format = options.OutputFormat.TABLE,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """List the endpoints: how many events each has, their size, and how far each reader is behind. This only reads."""
    import time

    import pyarrow as pa

    from riacho.cli import rows
    from riacho.connectors.ingest.log import LogFolder

    place = folder or kept_in(warehouse)
    logs = [LogFolder(path) for path in sorted(place.iterdir()) if path.is_dir()] if place.is_dir() else []
    if format is not options.OutputFormat.TABLE:
        facts = [
            {
                "endpoint": log.folder.name,
                "begin": log.begin(),
                "end": log.end(),
                "bytes": log.size(),
                "reader": None if reader is None else reader.name,
                "reader_offset": None if reader is None else reader.offset,
            }
            for log in logs
            for reader in _readers(log)
        ]
        rows.write(pa.Table.from_pylist(facts), format, output())
        return
    if not logs:
        aside(notes(), f"no endpoints in {place.absolute()} yet")
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    table.add_column("endpoint", no_wrap=True)
    for name in ("events", "next offset", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reader", overflow="fold")
    table.add_column("behind", justify="right", no_wrap=True)
    table.add_column("committed", no_wrap=True)
    now = time.time()
    for log in logs:
        begin, end = log.begin(), log.end()
        shown = (f"{end - begin:,}", f"{end:,}", size(log.size()))
        cells = [Text(log.folder.name, style="bold"), *map(Text, shown)]
        readers = log.readers()
        if not readers:
            table.add_row(*cells, Text("nobody yet", style="dim"), "", "")
        for reader in readers:
            behind = end - reader.offset
            late = Text(f"{behind:,}", style="yellow" if behind else "green")
            table.add_row(*cells, reader.name, late, ago(now - reader.time_ms / 1000))
            cells = [Text("")] * 4
    output().print(table)
    aside(notes(), str(place.absolute()))


@app.command(epilog=EXAMPLES)
def forget(
    endpoint: Annotated[str, typer.Argument(help="The name of the endpoint.")],
    reader: Annotated[str, typer.Argument(help="The reader, as `riacho ingest status` names it.")],
    folder: Folder = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Keep no more events for a reader that will not come back."""
    from riacho.connectors.ingest.log import LogFolder

    if not LogFolder((folder or kept_in(warehouse)) / endpoint).forget(reader):
        raise CommandError(f"the endpoint {endpoint} has no reader {reader!r}", "`riacho ingest status` lists them")
    aside(notes(), f"{endpoint} keeps nothing for {reader} any more")


def _readers(log: LogFolder) -> Sequence[ReaderPosition | None]:
    """The readers of a log, or None in their place."""
    return log.readers() or [None]


def address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT or PORT. Raises BadParameter."""
    host, colon, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535 or (colon and not host):
        raise typer.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--http")
    return host.strip("[]") or "127.0.0.1", int(port)


def configured(file: Path | None, host: str) -> IngestConfig:
    """What the file declares, or any endpoint without one. Raises IllegalArgumentError for a file that is wrong.

    Warns of endpoints without a token where others than this machine can reach them.
    """
    from riacho.cli.up import is_loopback
    from riacho.ingest.config import IngestConfig, from_file

    config = IngestConfig({}, open=True) if file is None else from_file(file)
    bare = [name for name, endpoint in config.endpoints.items() if endpoint.token is None]
    anybody = config.open and config.defaults.token is None
    if not is_loopback(host) and (bare or anybody):
        whose = ", ".join(bare) + (" and any other endpoint" if bare and anybody else "") or "any endpoint"
        warn(f"whoever can reach {host} can post to {whose} → give a token in the file: token: ${{NAME}}")
    return config


def kept_in(warehouse: Place) -> Path:
    """Where a server over that warehouse looks for the logs. Raises CommandError for a bucket: they are local files."""
    if not isinstance(warehouse, Path):
        raise CommandError(f"the events are kept on a local disk, and {warehouse} is none", "give --folder FOLDER")
    return warehouse.absolute() / "_riacho" / "ingest"


_TYPES = {"ndjson": "application/x-ndjson", "json": "application/json", "csv": "text/csv"}


def _kind(file: Path, given: str) -> str:
    name = given.lower() or next((s[1:] for s in reversed(file.suffixes) if s != ".gz"), "ndjson").lower()
    kind = {"jsonl": "ndjson", "log": "ndjson"}.get(name, name)
    if kind not in _TYPES:
        raise typer.BadParameter(f"{name!r} is none of ndjson, json and csv", param_hint="--format")
    return kind


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
    elif file.suffix == ".gz":
        try:
            with gzip.open(file, "rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CommandError(
                f"{file} is no whole gzip file: {error}",
                "what was sent stays; get the file again, and send it: what is there already is not added again",
            ) from None
    else:
        with file.open("rb") as plain:
            yield plain


def _bodies(given: IO[bytes], kind: str, batch: int) -> Iterator[bytes]:
    """What goes into each request: lines so many at a time, under their header if they are CSV; JSON as a whole."""
    from riacho.ingest.client import chunks

    if kind == "json":
        yield given.read()
        return
    if kind == "ndjson":
        for lines in chunks((line for raw in given if (line := raw.strip())), 4 << 20, batch):
            yield b"\n".join(lines)
        return
    header = given.readline().rstrip(b"\r\n")
    for lines in chunks(_csv_records(given), 4 << 20, batch):
        yield header + b"\n" + b"".join(lines)


def _csv_records(given: IO[bytes]) -> Iterator[bytes]:
    """Records of CSV, which have line breaks within quotes now and then."""
    record = b""
    for line in given:
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
    if record:
        yield record


def _at_eof(act: Callable[[], None]) -> None:
    sys.stdin.buffer.read()
    act()
