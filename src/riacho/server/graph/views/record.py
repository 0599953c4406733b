"""What a version of a view was made of, as its commit says in `commitInfo`: so it is never parted from the rows.

"riachoView": {"definition": …, "inputs": [{"table": …, "version": 7, "schema": …}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riacho.server.delta.log import DeltaLog
from riacho.server.graph.views.history import TableVersion
from riacho.server.graph.views.plan import NotFromChangesError

NOTE = "riachoView"
_LOOKS = 200
"""How many later versions, which changed no row, are looked at."""


@dataclass(frozen=True)
class ViewContents:
    """`definition`: of the query, and of all else that its rows depend on besides the inputs. `state`: see `groups`."""

    definition: str
    inputs: tuple[TableVersion, ...]
    state: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        body = {"definition": self.definition, "inputs": [each.to_json() for each in self.inputs]}
        return body | ({"state": dict(self.state)} if self.state else {})


def record_of(log: DeltaLog, version: int) -> ViewContents:
    """What the rows of a view, whose newest version is `version`, were made of.

    Raises NotFromChangesError if that is not known, or if others changed the rows since then.
    """
    for at in range(version, max(-1, version - _LOOKS), -1):
        try:
            commit = log.read(at)
        except FileNotFoundError:
            break
        body = commit.info.get(NOTE)
        if body is not None:
            try:
                inputs = tuple(TableVersion.from_json(each) for each in body["inputs"])
                return ViewContents(str(body["definition"]), inputs, dict(body.get("state") or {}))
            except (KeyError, TypeError, ValueError):
                break
        moved = any(add.data_change for add in commit.adds) or any(gone.data_change for gone in commit.removes)
        if moved or commit.changes:
            raise NotFromChangesError("its rows were last written by somebody else")
    raise NotFromChangesError("it is not known what its rows were made of")
