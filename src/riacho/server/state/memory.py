"""How much of the state on disk may be in this process's memory at once.

Runs are mapped files, read in blocks: what a search touches becomes resident, and stays so until the operating system
drops it. A `BlockPool` keeps count of the blocks touched and, when they are more than its bound, lets go of those used
least recently; they are read again when they are needed again. A block counts whole, though often only some of its
columns are resident, so the pool holds less than it says, never more.

All queries with `spark.sql.streaming.stateStore.rocksdb.boundedMemoryUsage` share one pool, as all stores of one
process share one cache in Spark (`RocksDBMemoryManager`). Where they name different bounds the smallest counts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from threading import Lock
from typing import Protocol

from riacho.conf import STATE_BOUND, STATE_BOUNDED
from riacho.errors import IllegalArgumentError


class MappedBlock(Protocol):
    """A part of a mapped file.

    Set by the pool: `resident`, it was touched and not let go of since; `forgotten`, it no longer counts.
    """

    bytes: int
    resident: bool
    forgotten: bool

    def let_go(self) -> None:
        """Have the operating system drop its pages. They may be touched again at any time."""


class BlockPool:
    """The resident blocks of some stores, least recently used first. May be called from any thread.

    Blocks are touched after they were read, not before: another thread may let go of a block while it is read, and
    what is read after that must count. So each thread may be over the bound by the blocks that it is reading.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._bounds: dict[Hashable, int] = {}
        self._blocks: OrderedDict[MappedBlock, None] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """The sum of the blocks touched and not let go of."""
        return self._bytes

    def bind(self, holder: Hashable, bound_bytes: int) -> None:
        """Keep to `bound_bytes`, and to what other holders asked for, until `release`."""
        with self._lock:
            self._bounds[holder] = bound_bytes
            self._trim()

    def release(self, holder: Hashable) -> None:
        """`holder` has closed its stores. Unknown holders are ignored."""
        with self._lock:
            self._bounds.pop(holder, None)

    def touch(self, block: MappedBlock) -> None:
        """`block` was just read."""
        with self._lock:
            if block.forgotten:
                return
            if block.resident:
                self._blocks.move_to_end(block)
                return
            block.resident = True
            self._blocks[block] = None
            self._bytes += block.bytes
            self._trim()

    def forget(self, blocks: Iterable[MappedBlock]) -> None:
        """The run of these blocks is no longer part of the state. A merge may still read them to its end."""
        with self._lock:
            for block in blocks:
                block.forgotten = True
                if block.resident:
                    del self._blocks[block]
                    self._drop(block)

    def _trim(self) -> None:
        bound = min(self._bounds.values(), default=None)
        while bound is not None and self._bytes > bound and self._blocks:
            self._drop(self._blocks.popitem(last=False)[0])

    def _drop(self, block: MappedBlock) -> None:
        block.resident = False
        block.let_go()
        self._bytes -= block.bytes


SHARED = BlockPool()
"""The pool of all queries of this process that asked for a bound."""


def bound_bytes(confs: Mapping[str, str]) -> int | None:
    """The bound that a session's confs ask for, None if none. Raises IllegalArgumentError."""
    bounded, bound = STATE_BOUNDED.of(confs).lower(), STATE_BOUND.of(confs)
    if bounded not in {"true", "false"}:
        raise IllegalArgumentError(f"Invalid value for '{STATE_BOUNDED.key}', must be boolean (it is '{bounded}')")
    if bounded == "false":
        return None
    try:
        megabytes = int(bound)
    except ValueError:
        raise IllegalArgumentError(f"Invalid value for '{STATE_BOUND.key}', must be a long (it is '{bound}')") from None
    if megabytes <= 0:
        raise IllegalArgumentError(f"Total memory usage must be a positive integer ({STATE_BOUND.key} is {megabytes})")
    return megabytes << 20
