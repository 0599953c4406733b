"""Bring a materialized view up to date: from the changes if that gives what computing it anew would give.

1. The query becomes a `ViewQuery` over inputs; each input is a Delta table at the version it has now.
2. The view's last commit says which versions its rows were made of (`record`), and their logs what was done since.
3. If nothing was done, nothing is written. If rows were only added, the rows that the query has more of them are
   appended. If anything else happened, or anything is in doubt, the view is computed anew.

The commit goes ahead only if the view is still what it was, and the tables that were read by name still are at the
versions that the commit notes; else it is tried again, with these versions read by number.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from riacho import __version__, types
from riacho.clock import Clock
from riacho.conf import INCREMENTAL_VIEWS
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.catalog.base import CatalogReader, Table
from riacho.server.delta.actions import AddFile
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import TableState
from riacho.server.delta.write import RowWriter, WriteMode, Written
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import FolderSpool
from riacho.server.graph import reads
from riacho.server.graph.names import Identifier
from riacho.server.graph.ports import Refreshed, RefreshWay
from riacho.server.graph.views.added import InputNumbers, InputState, added_rows
from riacho.server.graph.views.groups import GroupShape, kept_groupings, with_results
from riacho.server.graph.views.history import InputTable, TableFollower
from riacho.server.graph.views.inputs import BoundInputs, Remembered, ViewRefresh, table_at
from riacho.server.graph.views.plan import NotFromChangesError, bind, plan_of
from riacho.server.graph.views.record import ViewContents, record_of
from riacho.server.graph.views.regroup import GROUPS, Groupings, remove_others
from riacho.server.graph.views.writing import FEW_ROWS, Check, operation_of, settle
from riacho.storage import Place

_log = logging.getLogger(__name__)

_LOOKS = 3
"""How often a view is computed from tables by their names, if they get new versions meanwhile."""
_NOT_OF_ROWS = ("spark.sql.pipelines.", "spark.sql.streaming.")
"""Confs that do not decide what a query gives."""


class _MovedError(Exception):
    """A table got a new version while it was read."""


class Refresher:
    """Refreshes views of one catalog. `after_commit` is told of each version that is made. From any thread."""

    def __init__(
        self,
        catalog: CatalogReader,
        clock: Clock,
        after_commit: Callable[[Place, int], None] = lambda _table, _at: None,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._after_commit = after_commit
        self._tables = TableFollower()
        self._shapes: Remembered[GroupShape] = Remembered()
        self._columns: Remembered[bool] = Remembered()

    def refresh(
        self,
        table: Table,
        relation: pb.Relation,
        schema: pa.Schema,
        engine: EngineSession,
        *,
        full: bool,
        from_changes: bool,
    ) -> Refreshed:
        """See `ports.TableWriter.refresh`, for a Delta table."""
        done = self._refresh(table, relation, schema, engine, full=full, from_changes=from_changes)
        _log.info("The materialized view %s was %s: %s", table.name, done.way.said, done.why)
        return done

    def _refresh(
        self,
        table: Table,
        relation: pb.Relation,
        schema: pa.Schema,
        engine: EngineSession,
        *,
        full: bool,
        from_changes: bool,
    ) -> Refreshed:
        if not from_changes:
            return self._replace(table, relation, schema, engine, f"{INCREMENTAL_VIEWS.key} is false", full=True)
        try:
            view = self._view(table, relation, schema, engine)
        except NotFromChangesError as why:
            return self._replace(table, relation, schema, engine, str(why), full=full)
        except Exception as error:  # noqa: BLE001 - as below
            _log.warning("The query of the materialized view %s was not understood: %s", table.name, error)
            return self._replace(table, relation, schema, engine, f"it was not understood: {error}", full=full)
        if full:
            return self._anew(view, "a full refresh was asked for", full=True)
        try:
            return self._from_changes(view)
        except NotFromChangesError as why:
            return self._anew(view, str(why))
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows can be had in another way
            _log.warning("The changes for the materialized view %s could not be used: %s", table.name, error)
            return self._anew(view, f"the changes could not be used: {error}")

    def _view(self, table: Table, relation: pb.Relation, schema: pa.Schema, engine: EngineSession) -> ViewRefresh:
        tables: dict[Identifier, InputTable] = {}

        def columns(name: Identifier) -> Sequence[str]:
            tables[name] = self._table(name)
            return list(tables[name].schema.names)

        plan = plan_of(relation, engine.own_functions, columns)
        told = [key for key in engine.conf_keys if key.startswith("spark.sql.") and not key.startswith(_NOT_OF_ROWS)]
        body = [
            __version__,
            plan.definition,
            types.to_ddl(schema),
            list(table.partition_by),
            str(engine.zone),
            sorted(engine.get_confs(dict.fromkeys(told, "")).items()) if told else [],
            [name.parts for name in plan.inputs],
        ]
        definition = hashlib.sha256(json.dumps(body).encode()).hexdigest()
        return ViewRefresh(table, relation, schema, engine, plan, [tables[name] for name in plan.inputs], definition)

    def _table(self, name: Identifier) -> InputTable:
        found = None if reads.is_path(name) else self._catalog.table(name.table_name)
        if found is None or found.format.lower() != "delta":
            raise NotFromChangesError(f"it reads {name}, which is no Delta table of the catalog")
        try:
            return self._tables.now(found.location)
        except NotFromChangesError as why:
            raise NotFromChangesError(f"{name} {why}") from None

    def _from_changes(self, view: ViewRefresh) -> Refreshed:
        """Raises NotFromChangesError if that cannot be done."""
        writer = DeltaWriter(view.table.location, with_files=True)
        state = writer.state()
        if state is None:
            raise NotFromChangesError("it has no table yet")
        record = record_of(DeltaLog(view.table.location), state.version)
        if record.definition != view.definition or len(record.inputs) != len(view.tables):
            raise NotFromChangesError("its query, or what decides about its results, has changed")
        added = [self._added(view, number, record) for number in range(len(view.tables))]
        if not any(added):
            return self._no_news(view, record, writer)
        if view.plan.by_order:
            raise NotFromChangesError("its rows may depend on the order of the rows that it reads")
        states = {number: InputState.ADDED if files else InputState.SAME for number, files in enumerate(added)}
        numbers = InputNumbers(len(view.tables))
        refresh: Callable[[BoundInputs], Refreshed]
        try:
            more = added_rows(view.plan.operators, states, numbers)
            refresh = partial(self._append, view, more, writer, state.version)
        except NotFromChangesError:
            groupings = kept_groupings(view.plan.operators)
            if not groupings:
                raise
            refresh = partial(
                self._regroup, view, Groupings(groupings, states, numbers, self._shapes), writer, state.version
            )
        for pinned in (False, True):
            try:
                with closing(FolderSpool("view", zone=view.engine.zone.engine)) as spool:
                    return refresh(BoundInputs(view, record, added, numbers, spool, pinned=pinned))
            except _MovedError:
                continue
        raise NotFromChangesError("what it reads changes all the time")

    def _added(self, view: ViewRefresh, number: int, record: ViewContents) -> list[AddFile]:
        try:
            return view.tables[number].added_since(record.inputs[number])
        except NotFromChangesError as why:
            raise NotFromChangesError(f"{view.plan.inputs[number]} {why}") from None

    def _no_news(self, view: ViewRefresh, record: ViewContents, writer: DeltaWriter) -> Refreshed:
        if view.is_far_from(record):
            noted = replace(view.record, state=record.state)
            row_writer = RowWriter(writer, view.engine, WriteMode(), self._clock)
            row_writer.write([], view.schema, operation_of("Append", noted))
        return Refreshed(RefreshWay.NO_OP, "nothing that it reads has changed")

    def _append(
        self, view: ViewRefresh, more: Sequence[pb.Relation], writer: DeltaWriter, version: int, inputs: BoundInputs
    ) -> Refreshed:
        bound = inputs.bound(more)
        self._require_columns(view, bound, "rows", *sorted(inputs.new))

        def wanted(state: TableState | None, rows: int) -> bool:
            self._require_unmoved(view, state, version, inputs)
            return rows > 0 or view.is_far_from(inputs.record)

        row_writer = RowWriter(writer, view.engine, WriteMode(), self._clock)
        record = replace(view.record, state=inputs.record.state)
        written = row_writer.write(bound, view.schema, operation_of("Append", record), wanted=wanted)
        return self._done(view.table, RefreshWay.APPEND_ONLY, "rows were added to what it reads", written)

    def _regroup(
        self, view: ViewRefresh, groupings: Groupings, writer: DeltaWriter, version: int, inputs: BoundInputs
    ) -> Refreshed:
        """Merge the new rows into the groups that are kept, and write the rows of the view that differ."""
        location = view.table.location
        if not isinstance(location, Path):
            raise NotFromChangesError("its table lies in object storage, where groups are not kept")
        with ExitStack() as open_groups:
            kept = groupings.taken(inputs, location / GROUPS, open_groups)
            results = [(path, groups.groups.result()) for path, groups in zip(groupings.paths, kept, strict=True)]
            [relation] = inputs.bound([with_results(view.plan.operators, results)])
            self._require_columns(view, [relation], "groups")
            record = replace(view.record, state={"groupings": [groups.to_json() for groups in kept]})

            def check(state: TableState) -> None:
                self._require_unmoved(view, state, version, inputs)

            written = settle(writer, view.table, relation, view.schema, view.engine, self._clock, record, check)
            for groups in kept:
                groups.groups.committed(groups.version)
        remove_others(location / GROUPS, {groups.folder for groups in kept})
        if all(groups.is_new for groups in kept):
            why = "its groups were not kept, or rows below them have changed; they are kept now"
            return self._done(view.table, RefreshWay.COMPLETE_RECOMPUTE, why, written)
        return self._done(view.table, RefreshWay.GROUP_AGGREGATE, "rows were added to what it groups", written)

    def _anew(self, view: ViewRefresh, why: str, *, full: bool = False) -> Refreshed:
        """Compute the view anew, of known versions of what it reads.

        Versions are looked up and then checked; reading them by number comes last, for the engine cannot read every
        older version of a table whose log has a checkpoint.
        """
        few = 0 if full else FEW_ROWS

        def write(view: ViewRefresh, relation: pb.Relation, check: Check) -> Written:
            writer = DeltaWriter(view.table.location, with_files=True)
            return settle(
                writer, view.table, relation, view.schema, view.engine, self._clock, view.record, check, most=few
            )

        by_name = frozenset(range(len(view.tables)))
        written = None
        for looked in range(_LOOKS):
            if looked:
                view = replace(view, tables=[self._table(name) for name in view.plan.inputs])
            with suppress(_MovedError):
                written = write(view, view.relation, self._still(view, by_name))
                break
        if written is None:
            pinned = {number: table_at(table, table.at.version) for number, table in enumerate(view.tables)}
            try:
                written = write(view, bind(view.plan.relation, pinned), lambda _: None)
            except SparkError as error:
                _log.warning(
                    "Versions of what the materialized view %s reads could not be read: %s", view.table.name, error
                )
                return self._replace(view.table, view.relation, view.schema, view.engine, why, full=full)
        if isinstance(view.table.location, Path):
            remove_others(view.table.location / GROUPS, ())
        return self._done(view.table, RefreshWay.COMPLETE_RECOMPUTE, why, written)

    def _replace(
        self, table: Table, relation: pb.Relation, schema: pa.Schema, engine: EngineSession, why: str, *, full: bool
    ) -> Refreshed:
        """Compute a view anew that reads who knows what."""
        writer = DeltaWriter(table.location, with_files=True)
        most = 0 if full else FEW_ROWS
        written = settle(writer, table, relation, schema, engine, self._clock, None, lambda _: None, most=most)
        return self._done(table, RefreshWay.COMPLETE_RECOMPUTE, why, written)

    def _require_unmoved(self, view: ViewRefresh, state: TableState | None, version: int, inputs: BoundInputs) -> None:
        """Raises if the view, or what is read by name, is at another version than before."""
        if state is None or state.version != version:
            raise NotFromChangesError("somebody else wrote to it meanwhile")
        self._require_still(view, inputs.by_name)

    def _require_columns(self, view: ViewRefresh, plans: Sequence[pb.Relation], *how: Hashable) -> None:
        """Raises NotFromChangesError if `plans`, made in a way that `how` names, have other columns than the view."""
        want = [(field.name, field.type) for field in types.normalise_schema(view.schema)]

        def look() -> bool:
            found = (types.normalise_schema(view.engine.schema(plan)) for plan in plans)
            return all([(field.name, field.type) for field in have] == want for have in found)

        if not self._columns.get(view.known_by(how), look):
            raise NotFromChangesError("its query, taken apart, has other columns")

    def _still(self, view: ViewRefresh, numbers: Iterable[int]) -> Check:
        def check(_: TableState) -> None:
            self._require_still(view, numbers)

        return check

    def _require_still(self, view: ViewRefresh, numbers: Iterable[int]) -> None:
        """Raises _MovedError if one of these inputs is not at the version any more that it was at."""
        for number in numbers:
            table = view.tables[number]
            if self._tables.now(table.folder).at != table.at:
                raise _MovedError

    def _done(self, table: Table, way: RefreshWay, why: str, written: Written) -> Refreshed:
        if written.version is not None:
            self._after_commit(table.location, written.version)
        return Refreshed(way, why, written.version, written.rows)
