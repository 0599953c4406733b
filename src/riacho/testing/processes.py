"""Which processes a process has started, for tests that kill one of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence


def descendants(pid: int) -> dict[int, str]:
    """The children of a process, their children and so on: the command of each by its process id."""
    listed = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    found: dict[int, dict[int, str]] = {}
    for line in listed.stdout.splitlines():
        child, parent, *command = line.split(maxsplit=2)
        found.setdefault(int(parent), {})[int(child)] = " ".join(command)

    def below(parent: int) -> dict[int, str]:
        children = dict(found.get(parent, {}))
        for child in list(children):
            children |= below(child)
        return children

    return below(pid)


def kill_descendant(*words: str, of: Sequence[str] = ()) -> int:
    """Kill (-9) the one descendant of this process whose command has all `words`; its process id.

    `of`: words of the command of the descendant that it belongs to, for a run has servers of other tests besides.
    Raises AssertionError if there is none, or more than one. One that waits for another by `lifeline` does not count.
    """
    pid = _only(words, _only(of, os.getpid()) if of else os.getpid())
    os.kill(pid, signal.SIGKILL)
    return pid


def _only(words: Sequence[str], above: int) -> int:
    found = {
        pid: command
        for pid, command in descendants(above).items()
        if all(word in command for word in words) and "lifeline.py" not in command
    }
    assert len(found) == 1, f"{len(found)} processes have {words} in their command: {found}"
    (pid,) = found
    return pid
