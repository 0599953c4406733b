"""The groups of all groupings of a view, brought up to date with what was added to its inputs."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.engine.asked import asking_once
from riacho.server.graph.views.added import InputNumbers, InputState, added_rows
from riacho.server.graph.views.groups import GroupShape, GroupTools, KeptGroups
from riacho.server.graph.views.inputs import BoundInputs, Remembered
from riacho.server.graph.views.plan import NotFromChangesError
from riacho.server.plan.walk import Path as PlanPath
from riacho.server.plan.walk import at

GROUPS: Final = "_riacho_view"
"""The folder of a view's table in which its groups are kept; hidden from every reader."""


@dataclass(frozen=True)
class GroupsAt:
    """Groups that are kept: in which folder, and which version of them is the newest."""

    groups: KeptGroups
    folder: str
    version: int
    is_new: bool

    def to_json(self) -> dict[str, Any]:
        return {"folder": self.folder, "version": self.version, "mark": self.groups.mark(self.version)}


@dataclass(frozen=True)
class Groupings:
    """The groupings of a view, by their places in its plan, and what became of the inputs."""

    paths: Sequence[PlanPath]
    states: Mapping[int, InputState]
    numbers: InputNumbers
    shapes: Remembered[GroupShape]

    def taken(self, inputs: BoundInputs, folder: Path, open_groups: ExitStack) -> list[GroupsAt]:
        """The groups with all that is new, for each grouping; those that cannot be followed are made anew."""
        known = inputs.record.state.get("groupings") or []
        tools = GroupTools(inputs.view.engine, inputs.spool)
        taken = []
        for place, path in enumerate(self.paths):
            node: pb.Relation = at(inputs.view.plan.operators, path)
            shape = self.shapes.get(inputs.view.known_by(place), partial(_shape, node, inputs, tools))
            mark = known[place] if place < len(known) else None
            more = None if mark is None else self._more(node.aggregate.input)
            if mark is not None and more is not None:
                groups = KeptGroups(shape, folder / mark["folder"], tools)
                open_groups.callback(groups.close)
                version = int(mark["version"])
                groups.restore(version, mark["mark"])
                for rows in inputs.bound(more):
                    version += 1
                    groups.take(version, rows)
                taken.append(GroupsAt(groups, mark["folder"], version, is_new=False))
            else:
                name = new_uuid()
                groups = KeptGroups(shape, folder / name, tools)
                open_groups.callback(groups.close)
                groups.restore(0, "")
                [all_rows] = inputs.bound([node.aggregate.input])
                groups.take(1, all_rows)
                taken.append(GroupsAt(groups, name, 1, is_new=True))
        return taken

    def _more(self, relation: pb.Relation) -> list[pb.Relation] | None:
        try:
            return added_rows(relation, self.states, self.numbers)
        except NotFromChangesError:
            return None


def _shape(node: pb.Relation, inputs: BoundInputs, tools: GroupTools) -> GroupShape:
    with asking_once():
        [analysed] = inputs.bound([node], run=False)
        return GroupShape.of(analysed.aggregate, tools)


def remove_others(folder: Path, used: Collection[str]) -> None:
    """Remove groups that no version of the view refers to any more."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in used:
            shutil.rmtree(entry, ignore_errors=True)
