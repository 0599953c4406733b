"""Rows of a description, from one number to another: the same ones whoever asks, in whatever pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.connectors.faker import draws, json_text
from riacho.connectors.faker.description import Description
from riacho.connectors.faker.draws import Numbers
from riacho.connectors.faker.kinds import FakeTable
from riacho.connectors.faker.makers import Maker
from riacho.connectors.faker.rates import Rates

BLOCK: Final = 65_536
VALUE: Final = "value"
"""The column of rows that are JSON."""
_FUTURE_US: Final = (3_600_000_000, 48 * 3_600_000_000)


class _MadeRows:
    """See `makers.RowBlock`: rows of one table, each column made once."""

    def __init__(
        self, table: FakeTable, tables: Mapping[str, FakeTable], rows: Numbers, rates: Rates, salt: int
    ) -> None:
        self.rows = rows
        self._table, self._tables, self._rates, self._salt = table, tables, rates, salt
        self._made: dict[str, pa.Array] = {}
        self._others: dict[tuple[str, bytes], _MadeRows] = {}
        self._times: Numbers | None = None
        self._future: np.ndarray | None = None
        self._overrides: Sequence[Mapping[str, Maker]] = ()
        self._burst: Numbers | None = None

    def in_bursts(self, overrides: Sequence[Mapping[str, Maker]]) -> None:
        """Have rows of bursts made as their bursts say."""
        if any(overrides):
            self._overrides = overrides
            self._burst = self._rates.bursts_of(draws.key_of(self._salt, "burst"), self.rows)

    def in_future(self, mask: np.ndarray) -> None:
        """Have the clocks of these rows go ahead."""
        self._future = mask

    def column(self, name: str) -> pa.Array:
        if name not in self._made:
            values = self._table.fields[name].make(self)
            for number, fields in enumerate(self._overrides):
                if name in fields and self._burst is not None and (mask := self._burst == number).any():
                    own = fields[name].make(self).cast(values.type)
                    values = pc.if_else(pa.array(mask), own, values)
            self._made[name] = values
        return self._made[name]

    def times(self) -> Numbers:
        if self._times is None:
            self._times = self._rates.times(self.rows)
            if self._future is not None and self._future.any():
                least, most = _FUTURE_US
                ahead = least + draws.below(draws.key_of(self._salt, "ahead"), self.rows, most - least)
                self._times = np.where(self._future, self._times + ahead, self._times)
        return self._times

    def other(self, table: str, rows: Numbers) -> _MadeRows:
        place = (table, rows.tobytes()) if len(rows) <= BLOCK else (table, b"")
        if not place[1] or place not in self._others:
            self._others[place] = _MadeRows(self._tables[table], self._tables, rows, self._rates, self._salt)
        return self._others[place]


class RowGenerator:
    """Makes rows. `start_us`: when the first one happens, in µs since 1970. It may be pickled."""

    def __init__(self, description: Description, start_us: int) -> None:
        self._description = description
        self.rates = Rates(start_us, description.rate, description.profile, description.bursts)
        self._salt = draws.key_of(description.seed, "rows")
        bad = description.bad
        self._shares = draws.cumulated(bad.weights) if bad.kinds else None

    def schema(self) -> pa.Schema:
        """The columns that `batch` gives."""
        return self.batch(0, 0).schema

    def batches(self, first: int, last: int, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows from number `first` to before `last`; only the columns of these names, if they are given."""
        for begin in range(first, last, BLOCK):
            yield self.batch(begin, min(begin + BLOCK, last), names)

    def batch(self, first: int, last: int, names: Sequence[str] | None = None) -> pa.RecordBatch:
        description = self._description
        rows = np.arange(first, last, dtype=np.int64)
        bad = self._bad(rows)
        rows = np.where(bad["duplicate"], np.maximum(rows - 1, 0), rows)
        block = _MadeRows(description.main, description.tables, rows, self.rates, self._salt)
        block.in_bursts(description.burst_fields)
        block.in_future(bad["future"])
        shown = description.main.shown
        if description.output == "json":
            columns = [block.column(name) for name in shown]
            fields = draws.below(draws.key_of(self._salt, "field"), rows, len(shown))
            texts = json_text.objects(
                shown, columns, np.where(bad["missing"], fields, -1), np.where(bad["type"], fields, -1)
            )
            return pa.RecordBatch.from_arrays([json_text.cut_short(texts, bad["malformed"])], names=[VALUE])
        wanted = shown if names is None else list(names)
        columns = [block.column(name) for name in wanted]
        if bad["missing"].any():
            fields = draws.below(draws.key_of(self._salt, "field"), rows, len(shown))
            for place, name in enumerate(wanted):
                kept = ~(bad["missing"] & (fields == shown.index(name)))
                columns[place] = pc.if_else(pa.array(kept), columns[place], pa.scalar(None, columns[place].type))
        return pa.RecordBatch.from_arrays(columns, names=wanted)

    def _bad(self, rows: Numbers) -> dict[str, np.ndarray]:
        """Which rows are bad in which way."""
        bad = self._description.bad
        none = np.zeros(len(rows), np.bool_)
        found = dict.fromkeys(("missing", "duplicate", "future", "type", "malformed"), none)
        if self._shares is None or not bad.share:
            return found
        hit = draws.happens(draws.key_of(self._salt, "bad"), rows, bad.share)
        which = draws.weighted(draws.key_of(self._salt, "how"), rows, self._shares)
        return {**found, **{kind: hit & (which == place) for place, kind in enumerate(bad.kinds)}}
