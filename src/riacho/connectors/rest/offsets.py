"""Where a stream stands, with the answers that the next batch is made of.

An interface gives another answer each time it is asked, so a batch that is run again must not ask again: what was
fetched is stored before the batch begins, in the offset itself or in a file of `spoolLocation` that the offset names.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from riacho.connectors.rest.crawl import CrawlProgress, Page
from riacho.connectors.rest.settings import Stream
from riacho.connectors.values import as_json
from riacho.errors import IllegalStateError, SparkGeneralError

INITIAL: Final[dict[str, Any]] = {"batch": 0}
SUFFIX: Final = ".json.z"
_ENOUGH_IN_FILE: Final = 32 << 20
"""A batch is in memory as a whole: so many bytes, packed, are enough for one."""

Offset = dict[str, Any]
"""`batch`: how many there were; `polled`: when the look began, in milliseconds since 1970; `looking`: whether it has
pages left; `cursor`: the field whose values are remembered; `rows`: how many records are stored, in `data` or in
`file`; `id`: of the query."""


@dataclass(frozen=True)
class Stored:
    """What an offset holds: the pages of its batch, and how far the look has come."""

    pages: list[Page]
    progress: CrawlProgress


class Store:
    """Writes and reads what offsets hold."""

    def __init__(self, stream: Stream, *, decimals: bool = False, cursor: str | None = None) -> None:
        """`decimals`: records keep all digits of numbers with a point. `cursor`: whose values offsets remember."""
        self._decimals = decimals
        self._cursor = cursor
        self._most = stream.max_offset_bytes
        self._folder = None if stream.spool is None else Path(stream.spool)

    @property
    def enough_bytes(self) -> float:
        """What pages may take together before they make a batch."""
        return self._most / 2 if self._folder is None else _ENOUGH_IN_FILE

    def size_of(self, pages: Sequence[Page]) -> int:
        """About how much pages take of an offset, or of a file."""
        packed = len(_packed([page.to_json() for page in pages])) if pages else 0
        return packed * 4 // 3 if self._folder is None else packed

    def offset(
        self, start: Offset, polled_ms: int, pages: Sequence[Page], progress: CrawlProgress, *, looking: bool
    ) -> Offset:
        """The offset after `start` that holds these. Raises SparkGeneralError if they are too large for one."""
        name: str = start.get("id") or uuid.uuid4().hex[:12]
        number = start["batch"] + 1
        offset: Offset = {
            "id": name,
            "batch": number,
            "polled": polled_ms,
            "looking": looking,
            "cursor": self._cursor,
            "rows": sum(len(page.records) for page in pages),
        }
        whole = {"pages": [page.to_json() for page in pages], "progress": progress.to_json()}
        packed = _packed(whole)
        if self._folder is not None:
            return {**offset, "file": self._write(f"{name}-{number:08}-{zlib.crc32(packed):08x}{SUFFIX}", packed)}
        data = base64.b64encode(packed).decode()
        if len(data) > self._most:
            size = self.size_of(pages)
            fewer = ", or pagesPerBatch to fewer pages" if len(pages) > 1 and size > self._most / 2 else ""
            raise SparkGeneralError(
                f"A batch of {len(pages)} pages takes {len(data)} bytes in its offset, more than maxOffsetBytes allows "
                f"({self._most}): {size} are the pages, the others tell how far each request is and, with cursor or "
                f"key, which records were seen. Set spoolLocation to a folder for them{fewer}."
            )
        return {**offset, "data": data}

    def load(self, offset: Offset) -> Stored:
        """What an offset holds; nothing for the first. Raises IllegalStateError if its file is not there any more."""
        if "file" in offset:
            packed = self._read(offset["file"])
        elif "data" in offset:
            packed = base64.b64decode(offset["data"])
        else:
            return Stored([], CrawlProgress())
        text = zlib.decompress(packed).decode("utf-8", errors="surrogatepass")
        whole = json.loads(text)
        pages = json.loads(text, parse_float=Decimal)["pages"] if self._decimals else whole["pages"]
        return Stored([Page.of_json(page) for page in pages], CrawlProgress.of_json(whole["progress"]))

    def check_goes_on(self, offset: Offset) -> None:
        """Raises IllegalStateError if the offset remembers the values of another field than the stream looks at."""
        before = offset.get("cursor", self._cursor)
        if before != self._cursor:
            raise IllegalStateError(
                f"The checkpoint was made with cursor = {before}, and cursor is {self._cursor} now: their values "
                "cannot be compared, so records would be left out. Give the cursor that it was made with, or begin "
                "with a new checkpoint."
            )

    def forget_before(self, offset: Offset) -> None:
        """Remove the files of this query's earlier batches: they will not be asked for again."""
        if self._folder is None or "file" not in offset:
            return
        for path in self._folder.glob(f"{offset['id']}-*{SUFFIX}"):
            number = path.name.removeprefix(f"{offset['id']}-").partition("-")[0]
            if int(number) < offset["batch"]:
                path.unlink(missing_ok=True)

    def _write(self, name: str, packed: bytes) -> str:
        """A file that is there whole or not at all, also after a power cut."""
        assert self._folder is not None
        path = self._folder / name
        unfinished = path.with_name(f".{name}.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(packed)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise SparkGeneralError(f"spoolLocation {self._folder} cannot be written: {error.strerror}") from None
        return name

    def _read(self, name: str) -> bytes:
        if self._folder is None:
            raise IllegalStateError(
                f"The checkpoint names {name}, an answer in a spoolLocation, and the option is not given: give it."
            )
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise IllegalStateError(
                f"The checkpoint names {name}, an answer that cannot be read in spoolLocation {self._folder}: "
                f"{error.strerror}. It is needed to run the batch again; put it back, or begin with a new checkpoint."
            ) from None


def _packed(value: Any) -> bytes:
    return zlib.compress(as_json(value).encode("utf-8", errors="surrogatepass"))
