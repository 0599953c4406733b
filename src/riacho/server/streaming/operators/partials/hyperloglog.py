"""`approx_count_distinct`: Spark's HyperLogLog++, register for register, so that the estimate is Spark's.

A hash's first bits choose one of m registers; a register keeps the longest run of zeros that the other bits began
with, plus one. m follows from the error asked for. What is kept per group are the registers, one byte each, or only
those that are set while these are few.

Source: Heule, Nunkesser, Hall, "HyperLogLog in Practice"; the figures for correcting estimates of small sets come from
the appendix of that paper, in `hyperloglog_bias.csv`.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.plan.build import Expression, call, cast, null
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.partials import arguments
from riacho.server.streaming.operators.partials.lists import Floats, Ints, ints, owners
from riacho.server.streaming.operators.partials.model import ArrayFunction, Decomposition, Maker, Merge, Partial, single

Registers = npt.NDArray[np.uint8]
"""A row per group, a column per register."""

_DEFAULT_ERROR = 0.05
_HASH_BITS = 64
_NEIGHBOURS = 6
_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class Sketch:
    """HyperLogLog++ with 2^`bits` registers."""

    bits: int

    @property
    def size(self) -> int:
        return 1 << self.bits

    @classmethod
    def of_error(cls, error: float) -> Sketch:
        """The smallest whose relative standard deviation is at most `error`."""
        return cls(math.ceil(2 * math.log(1.106 / error) / math.log(2)))

    def of_hashes(self, lists: pa.Array) -> pa.Array:
        """The registers that each list of hashes sets."""
        hashes = ints(lists.flatten()).view(np.uint64)
        register = hashes >> np.uint64(_HASH_BITS - self.bits)
        # The bit set behind the end bounds the run of zeros.
        rest = (hashes << np.uint64(self.bits)) | np.uint64(1 << (self.bits - 1))
        run = _leading_zeros(rest) + 1
        cells = owners(lists) * self.size + register.astype(np.int64)
        order = np.lexsort((run, cells))
        last = np.ones(len(order), dtype=np.bool_)
        last[:-1] = cells[order][1:] != cells[order][:-1]
        cells, run = cells[order][last], run[order][last]
        rows = _blocks(len(lists), self.size)
        edges = np.searchsorted(cells, [start * self.size for start, _ in rows] + [len(lists) * self.size])
        packed = []
        for (start, end), first, behind in zip(rows, edges, edges[1:], strict=False):
            registers = np.zeros((end - start) * self.size, dtype=np.uint8)
            registers[cells[first:behind] - start * self.size] = run[first:behind]
            packed.append(self.pack(registers.reshape(end - start, self.size)))
        return pa.concat_arrays(packed) if packed else pa.array([], pa.binary())

    def merge(self, state: pa.Array, batch: pa.Array, known: Mask) -> pa.Array:  # noqa: ARG002
        """Merge: the longer run of each register."""
        merged = [
            self.pack(np.maximum(self.unpack(state[start:end]), self.unpack(batch[start:end])))
            for start, end in _blocks(len(batch), self.size)
        ]
        return pa.concat_arrays(merged) if merged else batch

    def pack(self, registers: Registers) -> pa.Array:
        """Registers as bytes: all of them, or four bytes (number and content) for each that is set."""
        row, register = np.nonzero(registers)
        used = np.bincount(row, minlength=len(registers))
        sparse = used * 4 < self.size
        codes = ((register.astype(np.uint32) << np.uint32(8)) | registers[row, register])[sparse[row]]
        sizes = np.where(sparse, used * 4, self.size)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        data = np.empty(int(offsets[-1]), dtype=np.uint8)
        is_sparse = np.repeat(sparse, sizes)
        data[is_sparse] = codes.astype("<u4").view(np.uint8)
        data[~is_sparse] = registers[~sparse].ravel()
        return pa.Array.from_buffers(
            pa.binary(), len(registers), [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
        )

    def unpack(self, kept: pa.Array) -> Registers:
        sizes = ints(pc.fill_null(pc.binary_length(kept), 0))
        registers = np.zeros((len(kept), self.size), dtype=np.uint8)
        dense = sizes == self.size
        registers[dense] = _bytes(kept.filter(pa.array(dense))).reshape(-1, self.size)
        codes = _bytes(kept.filter(pa.array(~dense)).fill_null(b"")).view("<u4")
        registers[np.repeat(np.arange(len(kept)), np.where(dense, 0, sizes // 4)), codes >> 8] = codes & 0xFF
        return registers

    def estimates(self, kept: pa.Array) -> pa.Array:
        """How many different values there were, about."""
        found = [self._estimate(self.unpack(kept[start:end])) for start, end in _blocks(len(kept), self.size)]
        return pa.array(np.concatenate(found) if found else [], pa.int64())

    def _estimate(self, registers: Registers) -> Ints:
        m = float(self.size)
        raw = _alpha(self.bits) * m * m / np.sum(np.ldexp(1.0, -registers.astype(np.int32)), axis=1)
        table = _table(self.bits)
        corrected = np.where(raw < 5 * m, raw - _bias(table, raw), raw)
        empty = np.count_nonzero(registers == 0, axis=1)
        with np.errstate(divide="ignore"):
            linear = m * np.log(m / empty)
        is_small = (linear <= table.threshold) | (raw <= 2.5 * m)
        estimate = np.where((empty > 0) & is_small, linear, corrected)
        rounded: Ints = np.floor(estimate + 0.5).astype(np.int64)
        return rounded


@dataclass(frozen=True)
class _BiasTable:
    """For one number of bits: up to where counting empty registers is better, and raw estimates with their errors."""

    threshold: float
    raw: Floats
    bias: Floats


@cache
def _tables() -> dict[int, _BiasTable]:
    with (files(__package__) / "hyperloglog_bias.csv").open() as file:
        lines = [line for line in csv.reader(file) if not line[0].startswith("#")]
    tables = {}
    for bits in {line[0] for line in lines}:
        mine = {line[1]: np.array(line[2:], dtype=np.float64) for line in lines if line[0] == bits}
        tables[int(bits)] = _BiasTable(mine["threshold"][0], mine["raw"], mine["bias"])
    return tables


def _table(bits: int) -> _BiasTable:
    return _tables().get(bits, _BiasTable(0.0, np.zeros(1), np.zeros(1)))


def _bias(table: _BiasTable, raw: Floats) -> Floats:
    """The mean error of the raw estimates nearest to each of `raw`."""
    count = len(table.raw)
    low = np.maximum(np.searchsorted(table.raw, raw) - _NEIGHBOURS + 1, 0)
    high = np.minimum(low + _NEIGHBOURS, count)
    while True:
        inside = np.minimum(high, count - 1)
        closer = (high < count) & ((raw - table.raw[inside]) ** 2 < (raw - table.raw[np.minimum(low, count - 1)]) ** 2)
        if not np.any(closer):
            break
        low, high = low + closer, high + closer
    sums = np.concatenate([[0.0], np.cumsum(table.bias)])
    bias: Floats = (sums[high] - sums[low]) / np.maximum(high - low, 1)
    return bias


def _alpha(bits: int) -> float:
    return {4: 0.673, 5: 0.697, 6: 0.709}.get(bits, 0.7213 / (1 + 1.079 / (1 << bits)))


def _leading_zeros(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    found = np.zeros(len(words), dtype=np.uint8)
    for shift in (32, 16, 8, 4, 2, 1):
        small = words < np.uint64(1 << (_HASH_BITS - shift))
        found[small] += np.uint8(shift)
        words = np.where(small, words << np.uint64(shift), words)
    return found


def _bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    """The content of all values, one after the other."""
    _, offset_buffer, data = column.buffers()
    if data is None or not len(column):
        return np.empty(0, dtype=np.uint8)
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    content: npt.NDArray[Any] = np.frombuffer(data, dtype=np.uint8)
    return content[offsets[0] : offsets[-1]]


def _blocks(rows: int, size: int) -> list[tuple[int, int]]:
    """Ranges of rows whose registers fit in memory with ease."""
    step = max(_BLOCK_BYTES // size, 1)
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


@cache
def _parts(bits: int) -> tuple[ArrayFunction, Merge, ArrayFunction]:
    """The same functions for the same sketch, so that two calls in a query share what they keep."""
    sketch = Sketch(bits)
    return sketch.of_hashes, sketch.merge, sketch.estimates


def _approx_count_distinct(function: Expression.UnresolvedFunction, result: pa.DataType) -> Decomposition | None:
    value, *error = function.arguments
    relative = arguments.number(error[0]) if error else _DEFAULT_ERROR
    if relative is None or not relative > 0:
        return None
    update, merge, finalize = _parts(Sketch.of_error(relative).bits)
    hashed = call("if", call("isnotnull", value), call("xxhash64", value), cast(null(), pa.int64()))
    return single(Partial(call("collect_list", hashed), merge, update, finalize), result)


FUNCTIONS: dict[str, Maker] = {"approx_count_distinct": _approx_count_distinct}
