"""What a replay is asked to do: confs of the graph, so that any client that defines a graph can ask for it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from riacho.conf import REPLAY, REPLAY_RULES
from riacho.errors import IllegalArgumentError
from riacho.server.graph import names
from riacho.server.graph.elements import PipelineTable
from riacho.server.graph.names import CurrentNamespace, Identifier
from riacho.server.graph.resolve import Resolution

EVERYTHING = "*"


@dataclass(frozen=True)
class ReplayRequest:
    """Which quarantined rows to replay.

    `tables` None: those of all tables. `rules`: only those that broke one of these, unless it is empty.
    """

    tables: frozenset[Identifier] | None = None
    rules: tuple[str, ...] = ()

    @classmethod
    def of(cls, conf: Mapping[str, str], scope: CurrentNamespace) -> ReplayRequest | None:
        """What the confs of a graph ask for; None if they ask for no replay. Raises PARSE_SYNTAX_ERROR."""
        wanted = _listed(conf.get(REPLAY.key, ""))
        if not wanted:
            return None
        tables = None if EVERYTHING in wanted else frozenset(scope.qualify(names.parse(name)) for name in wanted)
        return cls(tables, _listed(conf.get(REPLAY_RULES.key, "")))

    def chosen(self, resolution: Resolution) -> list[PipelineTable]:
        """The tables of the pipeline that the request means. Raises IllegalArgumentError for one that is not there."""
        tables = [table for table in resolution.definition.tables if table.quarantine_of is None]
        if self.tables is None:
            return tables
        known = {table.identifier.table_name: table for table in tables}
        missing = sorted(str(name) for name in self.tables if name.table_name not in known)
        if missing:
            raise IllegalArgumentError(
                f"There is nothing to replay into {', '.join(missing)}: the pipeline has no such table. It has "
                f"{', '.join(sorted(str(table.identifier) for table in tables)) or 'none'}."
            )
        wanted = {name.table_name for name in self.tables}
        return [table for name, table in known.items() if name in wanted]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for line in csv.reader([text], skipinitialspace=True) for part in line if part.strip())
