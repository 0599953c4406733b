"""Where events go: an ingest endpoint, a collection of MongoDB, or files in a folder.

An event counts as sent when the other side has said that it keeps it. What is not answered is sent again, in a way that
does no harm if it had arrived: with the same key over HTTP, by `_id` in MongoDB, as a file that appears whole.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from riacho.clock import Clock, SystemClock

from .accesses import AccessOptions, Platform, documents, events

_log = logging.getLogger(__name__)

ENDPOINT: Final = "accesses"
COLLECTION: Final = "accesses"
DATABASE: Final = "platform"
MONGODB: Final = "mongodb"
PATIENCE_S: Final = 300.0
"""How long MongoDB may be away."""


@dataclass(frozen=True)
class Sent:
    """What was sent in one go and is kept by the other side. `refused`: events that its rules do not take."""

    at: datetime
    rows: int
    where: str
    refused: int = 0

    @property
    def damage(self) -> str | None:
        """What is to be told besides."""
        return f"{self.refused} refused by the collection's validator" if self.refused else None

    def __str__(self) -> str:
        """For `riacho generate`, a line each time."""
        return f"{self.at:%H:%M:%S}  {self.rows:>6,} {'access' if self.rows == 1 else 'accesses'} to {self.where}"


class Target(Protocol):
    """Where events go."""

    @property
    def where(self) -> str:
        """What people are told."""

    def send(self, number: int, sent: pa.Table) -> int:
        """Send events and return when they are kept; how many were refused. Raises when they are not, after retries."""


@contextmanager
def target(address: str) -> Iterator[Target]:
    """`http://HOST:PORT[/ingest/ENDPOINT]`, `mongodb://…`, `mongodb` alone (MONGODB_URI says where), or a folder.

    Raises ImportError, with the way out, where a package is missing; ValueError for an address that is none.
    """
    if address.startswith(("http://", "https://")):
        from riacho.ingest.client import IngestClient

        server, _, endpoint = address.partition("/ingest/")
        token = os.environ.get("INGEST_TOKEN") or None
        with IngestClient(server, token=token) as client:
            yield _Endpoint(client, endpoint or ENDPOINT, address)
    elif address == MONGODB or address.startswith(("mongodb://", "mongodb+srv://")):
        with _collection(address) as collection:
            yield collection
    else:
        yield _Folder(Path(address))


def generate(
    address: str,
    options: AccessOptions,
    *,
    clock: Clock | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Sent]:
    """Send stretch after stretch of accesses, giving each when it is kept.

    With `options.wait`, a stretch that is not over yet is waited for with `sleep(seconds)`; a late one is sent at once.
    Nothing happens before the first `next()`; stop asking and the generator stops.
    """
    clock = clock or SystemClock()
    platform = Platform(options, options.start or _beginning(options, clock))
    with target(address) as place:
        for number, table in events(platform, options):
            ends = platform.begins(number + 1)
            early_ms = ends.timestamp() * 1000 - clock.now_ms()
            if options.wait and early_ms > 0:
                sleep(early_ms / 1000)
            if table.num_rows:
                refused = place.send(number, table)
                yield Sent(ends, table.num_rows - refused, place.where, refused)


def _beginning(options: AccessOptions, clock: Clock) -> datetime:
    """Now; for a history so that it ends about now."""
    now = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC)
    if options.wait or options.count is None:
        return now
    return now - timedelta(seconds=options.count / (options.rate + options.burst / 60))


@dataclass
class _Endpoint:
    """An ingest endpoint. The client sends a request again, with its key, until it is answered or gives up."""

    client: Any
    endpoint: str
    where: str

    def send(self, number: int, sent: pa.Table) -> int:  # noqa: ARG002
        self.client.send(self.endpoint, documents(sent))
        return 0


@dataclass
class _Folder:
    """A folder: a file of JSON lines for each stretch."""

    folder: Path

    @property
    def where(self) -> str:
        return str(self.folder)

    def send(self, number: int, sent: pa.Table) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"accesses-{number:08d}.json"
        hidden = path.with_name(f".{path.name}")
        lines = [json.dumps(document, ensure_ascii=False) for document in documents(sent)]
        hidden.write_text("\n".join(lines) + "\n", encoding="utf-8")
        hidden.replace(path)
        return 0


@contextmanager
def _collection(address: str) -> Iterator[Target]:
    try:
        from pymongo import MongoClient
        from pymongo.uri_parser import parse_uri
    except ImportError:
        raise ImportError("sending to MongoDB needs pymongo: pip install 'riacho[mongodb]'") from None
    uri = os.environ.get("MONGODB_URI", "") if address == MONGODB else address
    if not uri:
        raise ValueError("MONGODB_URI is not set: it says where MongoDB is, as in mongodb://localhost:27017")
    named = parse_uri(uri)
    database = named["database"] or DATABASE
    client: Any = MongoClient(uri, serverSelectionTimeoutMS=5_000, socketTimeoutMS=30_000, retryWrites=False)
    try:
        where = f"{DATABASE if not named['database'] else database}.{named['collection'] or COLLECTION}"
        yield _Collection(client[database][named["collection"] or COLLECTION], where)
    finally:
        client.close()


class _Collection:
    """A collection. Documents that are there already, from a request whose answer was lost, are passed over."""

    def __init__(self, collection: Any, where: str) -> None:
        self.where = where
        self._collection = collection

    def send(self, number: int, sent: pa.Table) -> int:  # noqa: ARG002
        from pymongo.errors import AutoReconnect
        from tenacity import (
            Retrying,
            before_sleep_log,
            retry_if_exception_type,
            stop_after_delay,
            wait_random_exponential,
        )

        given = [_as_stored(document) for document in documents(sent)]
        for attempt in Retrying(
            retry=retry_if_exception_type(AutoReconnect),
            wait=wait_random_exponential(multiplier=0.1, max=10),
            stop=stop_after_delay(PATIENCE_S),
            before_sleep=before_sleep_log(_log, logging.WARNING),
            reraise=True,
        ):
            with attempt:
                return self._insert(given)
        raise AssertionError("tenacity gives up by an error")

    def _insert(self, given: list[dict[str, Any]]) -> int:
        """Insert what is not there yet; how many the validator refused. Raises BulkWriteError for anything else."""
        from pymongo.errors import BulkWriteError

        try:
            self._collection.insert_many(given, ordered=False)
        except BulkWriteError as error:
            failed = (error.details or {}).get("writeErrors", [])
            if any(each["code"] not in {_DUPLICATE, _INVALID} for each in failed):
                raise
            return sum(each["code"] == _INVALID for each in failed)
        return 0


_DUPLICATE: Final = 11000
_INVALID: Final = 121
"""MongoDB's codes for a key that is there, and for a document that the validator does not take."""


def _as_stored(document: dict[str, Any]) -> dict[str, Any]:
    """A document as the collection keeps it: a moment is a date there, so that it can expire and be indexed."""
    try:
        moment: Any = datetime.fromisoformat(document["access_timestamp"])
    except ValueError:
        moment = document["access_timestamp"]
    return {**document, "access_timestamp": moment}
