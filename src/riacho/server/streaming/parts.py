"""The rows of one source in one batch, in the spool: as a whole, or if there are many, in parts.

    decode part 1 │ decode part 2 │ decode part 3 │
                  │ engine part 1 │ engine part 2 │ engine part 3

While the engine works on a part, the next one is decoded; then the first one's place is free again. So a batch of
everything that has piled up needs no more memory than two parts, and no core waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa

from riacho import storage
from riacho.protos import pb
from riacho.server.engine.base import Spool
from riacho.server.streaming.sources.base import SourceData

FIRST_BYTES: Final = 32 << 20
LARGEST_BYTES: Final = 256 << 20
"""Of Arrow data in a part. The first are small, so that the engine begins soon; each makes data files of its own, so
the later ones are not."""


class SpooledSource:
    """Iterating gives a relation for each part, which can be run until the next one is asked for.

    `read` gives the source's rows; it is called once when this is made, and again by each iteration after the first if
    there is more than one part. Without `in_parts`, there is one. What `read` and its rows raise is raised here and by
    iterating, and so is what `check_stop` raises, between parts.
    """

    def __init__(
        self,
        read: Callable[[], SourceData],
        spool: Spool,
        *,
        in_parts: bool = False,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._read = read
        self._spool = spool
        self._limit = FIRST_BYTES if in_parts else None
        self._check_stop = check_stop
        self.rows = 0
        """How many there are; in parts, how many there were so far."""
        self._begun: _Reading | None = self._begin()

    @property
    def metrics(self) -> dict[str, str]:
        """What the source says of these rows, once they have been gone through."""
        return self._data.metrics

    def __iter__(self) -> Iterator[pb.Relation]:
        reading = self._begun or self._begin()
        if not reading.more:
            self._begun = reading
            yield reading.leaf
            return
        self._begun = None
        yield from self._parts(reading)

    def _begin(self) -> _Reading:
        self._data = self._read()
        reading = _Reading(self._data, self._spool)
        self.rows = reading.put(self._limit)
        return reading

    def _parts(self, reading: _Reading) -> Iterator[pb.Relation]:
        limit = FIRST_BYTES
        with ThreadPoolExecutor(1, thread_name_prefix="riacho-part") as pool:
            while True:
                leaf = reading.leaf
                limit = min(2 * limit, LARGEST_BYTES)
                ahead = pool.submit(storage.carried(reading.put), limit) if reading.more else None
                yield leaf
                self._spool.remove(leaf)
                if ahead is None:
                    return
                self.rows += ahead.result()
                self._check_stop()


class _Reading:
    """Rows on their way from a source to a spool. `leaf` reads what was put last; `more`: there are rows to be put."""

    leaf: pb.Relation

    def __init__(self, data: SourceData, spool: Spool) -> None:
        self._schema = data.schema
        self._batches = iter(data.batches)
        self._spool = spool
        self._next = next(self._batches, None)

    @property
    def more(self) -> bool:
        return self._next is not None

    def put(self, limit: int | None) -> int:
        """Put rows into the spool, all or up to about `limit` bytes; how many."""
        self.leaf, rows = self._spool.put(self._up_to(limit), self._schema)
        return rows

    def _up_to(self, limit: int | None) -> Iterator[pa.RecordBatch]:
        size = 0
        while self._next is not None and (limit is None or size < limit):
            size += self._next.nbytes
            yield self._next
            self._next = next(self._batches, None)
