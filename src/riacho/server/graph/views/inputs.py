"""A view that is refreshed, and what stands for its inputs when rows are made of changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.catalog.base import Table
from riacho.server.delta.actions import AddFile
from riacho.server.engine.base import EngineSession, Spool
from riacho.server.graph import reads
from riacho.server.graph.views.added import InputNumbers
from riacho.server.graph.views.history import InputTable
from riacho.server.graph.views.plan import ViewQuery, bind, input_of
from riacho.server.graph.views.record import ViewContents
from riacho.server.plan.walk import walk

T = TypeVar("T")

_FAR_BEHIND: Final = 16


@dataclass(frozen=True)
class ViewRefresh:
    """A view that is refreshed: its query, with `tables` as they are now. `definition`: see `ViewContents`."""

    table: Table
    relation: pb.Relation
    schema: pa.Schema
    engine: EngineSession
    plan: ViewQuery
    tables: Sequence[InputTable]
    definition: str

    @property
    def record(self) -> ViewContents:
        """What its rows are made of, once it is refreshed."""
        return ViewContents(self.definition, tuple(each.at for each in self.tables))

    def known_by(self, *what: Hashable) -> Hashable:
        """A key for what is so for this query over tables of these columns."""
        return self.definition, tuple(table.at.schema for table in self.tables), what

    def is_far_from(self, record: ViewContents) -> bool:
        """Whether so many versions were looked at that the view should note them, though it gets no rows of them."""
        passed = [new.at.version - old.version for new, old in zip(self.tables, record.inputs, strict=True)]
        return max(passed, default=0) >= _FAR_BEHIND


class Remembered(Generic[T]):
    """The last things that were found out, by key. From any thread."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, find_out: Callable[[], T]) -> T:
        """What is known of `key`; found out if nothing is. What that raises is not remembered."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = find_out()
        with self._lock:
            self._known[key] = found
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found


@dataclass
class BoundInputs:
    """What stands for the inputs of a view when rows are made of changes.

    `pinned`: tables are read at the versions they were seen at, by number. `by_name`: those that are not, so far.
    """

    view: ViewRefresh
    record: ViewContents
    added: Sequence[Sequence[AddFile]]
    numbers: InputNumbers
    spool: Spool
    pinned: bool
    by_name: set[int] = field(default_factory=set)
    _new_rows: dict[int, pb.Relation] = field(default_factory=dict)

    @property
    def new(self) -> frozenset[int]:
        """The inputs that have new rows."""
        return frozenset(number for number, files in enumerate(self.added) if files)

    def bound(self, plans: Sequence[pb.Relation], *, run: bool = True) -> list[pb.Relation]:
        """The plans over what stands for their inputs. `run`: False for plans that are only analysed."""
        found = (input_of(node) for plan in plans for node in walk(plan))
        used = {number for number in found if number is not None}
        inputs: dict[int, pb.Relation] = {}
        for number, table in enumerate(self.view.tables):
            if number in used:
                named = not self.pinned or not run
                inputs[number] = self._named(number) if named else table_at(table, table.at.version)
                if named and run:
                    self.by_name.add(number)
            if (more := self.numbers.added(number)) in used:
                inputs[more] = self._new_rows_of(number)
            if (before := self.numbers.before(number)) in used:
                inputs[before] = table_at(table, self.record.inputs[number].version)
        return [bind(plan, inputs) for plan in plans]

    def _new_rows_of(self, number: int) -> pb.Relation:
        if number not in self._new_rows:
            table = self.view.tables[number]
            rows = table.rows_of(self.added[number])
            self._new_rows[number], _ = self.spool.put(rows, types.nullable(table.schema))
        return self._new_rows[number]

    def _named(self, number: int) -> pb.Relation:
        return reads.table_read(self.view.plan.inputs[number], streaming=False, options={})


def table_at(table: InputTable, version: int) -> pb.Relation:
    """A table as it was at a version."""
    source = pb.Read.DataSource(format="delta", paths=[str(table.folder)], options={"versionAsOf": str(version)})
    return pb.Relation(read=pb.Read(data_source=source))
