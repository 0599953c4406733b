"""Commit to a Delta table: decide on what stands there now, put the next version in place, decide again if somebody
was first.

A decision is a function of the table's state, so a conflict needs no rules about what clashes with what: whoever comes
second looks at the new state and decides anew. (Delta's `OptimisticTransaction` compares what both read and wrote; a
decision that depends only on the state it is given is always serialisable.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from riacho.errors import SparkGeneralError
from riacho.server.delta.actions import Json, parse_commit, render
from riacho.server.delta.commits import COMMITS
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import TableState, blank_state, newest_state
from riacho.storage import ObjectPath, Place, Stamp

MAX_ATTEMPTS = 1000
_FRESH_S = 2.0

Decision = Callable[[TableState | None], Sequence[Json] | None]
"""The actions of the next commit, given the table as it is (None: there is no table), or None to commit nothing."""


@dataclass(frozen=True)
class Committed:
    """A version that is now in place. `state` stands at that version and is the writer's own: do not change it."""

    version: int
    state: TableState


class DeltaWriter:
    """A table that commits are made to, with its state held between them.

    Not for several threads at once. `with_files`: keep the list of files too, for changes that take files out.
    """

    def __init__(self, table: Place, *, with_files: bool = False) -> None:
        self.log = DeltaLog(table)
        self._with_files = with_files
        self._state: TableState | None = None
        self._stamp: Stamp | None = None
        self._looked_s = -math.inf

    def state(self) -> TableState | None:
        """The table as it is now, or None if there is none. Cheap when nothing happened. Raises as `load_state`."""
        self._looked_s = time.monotonic()
        state = self._state
        if state is None or self._stamp is None or self.log.stamp(state.version) != self._stamp:
            # None yet, or the table was removed, and perhaps made anew, behind our back.
            state = newest_state(self.log, with_files=self._with_files)
        elif self.log.has(state.version + 1):
            state.advance(self.log)
        else:
            return state
        return self._hold(state)

    def _has_just_looked(self) -> bool:
        """Whether the table need not be looked at again: in object storage that takes requests, and a commit that comes
        too late is refused anyway.
        """
        remote = isinstance(self.log.table, ObjectPath)
        return remote and self._state is not None and time.monotonic() - self._looked_s < _FRESH_S

    def _hold(self, state: TableState | None) -> TableState | None:
        self._state = state
        self._stamp = None if state is None else self.log.stamp(state.version)
        return state

    def commit(self, decide: Decision) -> Committed | None:
        """Put in place what `decide` says, as one version. None if it says None.

        Raises what `decide` raises, and DELTA_MAX_COMMIT_RETRIES_EXCEEDED.
        """
        for attempt in range(MAX_ATTEMPTS):
            state = self._state if attempt == 0 and self._has_just_looked() else self.state()
            actions = decide(state)
            if actions is None:
                return None
            version = 0 if state is None else state.version + 1
            if state is None:
                self.log.make_folder()
            content = render(actions)
            commit = parse_commit(version, content, 0)
            if not self.log.put(version, content):
                continue
            if state is None:
                state = blank_state(self._with_files)
            state.apply(commit)
            self._hold(state)
            COMMITS.announce(self.log.table)
            return Committed(version, state)
        raise SparkGeneralError.of(
            "DELTA_MAX_COMMIT_RETRIES_EXCEEDED",
            f"This commit to {self.log.table} has failed as it has been tried {MAX_ATTEMPTS} times but did not "
            "succeed: too many writers write to the table at once.",
            sql_state="40000",
            numAttempts=str(MAX_ATTEMPTS),
        )
