"""Which of a pipeline's views may be refreshed next, when all of them are kept fresh all the time.

A view is refreshed after the views that it reads, if those have changed too: else it would be refreshed twice for one
change, the first time from rows that do not belong together. Where changes never end, those it reads are never all
still, so it is enough that each has been refreshed since this view last began. A view that rests (its interval is not
over) or has failed is not waited for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping

from riacho.server.graph.names import Identifier

AT_ONCE = max(2, (os.cpu_count() or 1) // 2)
"""How many views are refreshed at once: streams are to have room beside them."""


class ViewTurns:
    """`upstream`: the views that each view reads, directly or not. All methods may be called from any thread."""

    def __init__(self, upstream: Mapping[Identifier, set[Identifier]], at_once: int = AT_ONCE) -> None:
        self._upstream = upstream
        self._at_once = at_once
        self._changed: dict[Identifier, None] = {}
        """Views whose inputs have changed, the first to change first."""
        self._running: set[Identifier] = set()
        self._resting: set[Identifier] = set()
        self._since: dict[Identifier, set[Identifier]] = {view: set() for view in upstream}
        """For each view, those it reads that have been refreshed since it last began."""
        self._moved = threading.Condition()

    def mark(self, view: Identifier) -> None:
        """What the view reads has changed."""
        with self._moved:
            self._changed.setdefault(view)
            self._moved.notify_all()

    def begin(self, view: Identifier, wait_s: float, note: Callable[[], None]) -> bool:
        """Wait for the view's turn, at most so long; whether it has come. `note` is called as the refresh begins.

        The view must have been marked.
        """
        with self._moved:
            if not self._moved.wait_for(lambda: self._is_due(view), wait_s):
                return False
            note()
            del self._changed[view]
            self._since[view].clear()
            self._running.add(view)
            return True

    def rest(self, view: Identifier) -> None:
        """Its refresh is over; nobody need wait for the next one until it is `awake`."""
        with self._moved:
            self._running.discard(view)
            self._resting.add(view)
            for other, upstream in self._upstream.items():
                if view in upstream:
                    self._since[other].add(view)
            self._moved.notify_all()

    def awake(self, view: Identifier) -> None:
        """It is refreshed again as soon as something changes."""
        with self._moved:
            self._resting.discard(view)
            self._moved.notify_all()

    def leave(self, view: Identifier) -> None:
        """It is not kept fresh, for now or any more."""
        self.rest(view)
        with self._moved:
            self._changed.pop(view, None)
            self._moved.notify_all()

    def _is_due(self, view: Identifier) -> bool:
        room = self._at_once - len(self._running)
        first = [each for each in self._changed if self._may_begin(each)][: max(room, 0)]
        return view in first

    def _may_begin(self, view: Identifier) -> bool:
        if view in self._running or view in self._resting:
            return False
        return not any(self._is_about_to_change(other) for other in self._upstream[view] - self._since[view])

    def _is_about_to_change(self, view: Identifier) -> bool:
        return view in self._running or (view in self._changed and view not in self._resting)
