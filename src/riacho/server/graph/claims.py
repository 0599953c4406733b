"""One run at a time fills a table: two would read the same input into it twice, or stop each other's queries.

Within this process a claim is an entry in a table. Between processes it is a lock on a file beside the checkpoints,
which the system gives up when its owner dies; in object storage there are no such locks.

    <storage>/_locks/<catalog>.<database>.<table>.<flow>
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from riacho.server.graph import failures
from riacho.server.graph.names import Identifier
from riacho.server.graph.stages import FlowRun, RunFlows, Stage, StreamFlow
from riacho.server.graph.storage import CHECKPOINTS

LOCKS = "_locks"
TAKE_OVER_S = 60.0
"""How long a run waits for the flows of one whose client is gone to end."""


class Claimant(Protocol):
    """A run that holds claims."""

    @property
    def is_abandoned(self) -> bool:
        """Whether its client is gone, so that another run may take its place."""

    def stop(self) -> None:
        """Let it end. Returns at once."""

    def wait_end(self, timeout_s: float) -> bool:
        """Wait until none of its flows is at work; whether that came in time."""


@dataclass
class _Claim:
    """All that one run holds. `held` gives it back, once."""

    run: Claimant
    held: ExitStack = field(default_factory=ExitStack)


class Claims:
    """The flows that runs of this process are filling tables with, by what they write to."""

    def __init__(self) -> None:
        self._taken: dict[str, _Claim] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, planned: Iterable[Stage], claimant: Claimant) -> Iterator[None]:
        """Hold all flows that the stages run, while the block runs or until the claimant is taken for gone.

        Raises IllegalStateError if one of them is held, by another run or by another process.
        """
        runs = [(name, run) for stage in planned if isinstance(stage, RunFlows) for name, run in stage.runs.items()]
        claim = _Claim(claimant)
        with claim.held:
            for name, run in runs:
                self._take(name, _key(run), claim)
                if isinstance(run, StreamFlow) and isinstance(run.checkpoint.directory, Path):
                    claim.held.callback(os.close, _locked(name, run.checkpoint.directory))
            yield

    def _take(self, name: Identifier, key: str, claim: _Claim) -> None:
        with self._lock:
            other = self._taken.get(key)
        if other is not None:
            if not other.run.is_abandoned:
                raise failures.flow_is_running(name)
            other.run.stop()
            if not other.run.wait_end(TAKE_OVER_S):
                raise failures.flow_is_running(name)
            other.held.close()
        with self._lock:
            if key in self._taken:
                raise failures.flow_is_running(name)
            self._taken[key] = claim
        claim.held.callback(self._give_back, key)

    def _give_back(self, key: str) -> None:
        with self._lock:
            self._taken.pop(key, None)


def _key(run: FlowRun) -> str:
    return str(run.checkpoint.directory) if isinstance(run, StreamFlow) else f"table {run.table}"


def _locked(name: Identifier, directory: Path) -> int:
    """A lock on a flow's checkpoints; it lasts until the descriptor is closed. Raises IllegalStateError."""
    checkpoints = next(folder for folder in directory.parents if folder.name == CHECKPOINTS)
    folder = checkpoints.parent / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(
        folder / ".".join(directory.relative_to(checkpoints).parts), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise failures.flow_is_running(name) from None
    return descriptor
