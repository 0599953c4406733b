"""A command under the lifeline is gone when its owner lets go, whichever way that happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from riacho.testing import lifeline

LIMIT_S = 20
# Tells its process id, then waits for ever: there is nothing that it could wait for.
WAITS = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"


def start(program: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, lifeline.__file__, sys.executable, "-c", program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.fixture
def held() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A lifeline and the process id of the command that it holds."""
    process = start(WAITS)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    with process:
        yield process, child
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def is_gone(child: int) -> bool:
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return True
    return False


def test_closing_the_pipe_ends_the_command(held: tuple[subprocess.Popen[bytes], int]) -> None:
    process, child = held
    assert process.stdin is not None
    process.stdin.close()
    process.wait(LIMIT_S)
    assert is_gone(child)


def test_a_terminated_lifeline_takes_the_command_with_it(held: tuple[subprocess.Popen[bytes], int]) -> None:
    process, child = held
    process.terminate()
    process.wait(LIMIT_S)
    assert is_gone(child)


def test_the_command_ends_when_its_owner_is_killed() -> None:
    """The owner is a third process, and gets no chance to clean up."""
    owner = (
        "import subprocess, sys, time\n"
        f"line = subprocess.Popen({[sys.executable, lifeline.__file__, sys.executable, '-c', WAITS]!r},"
        " stdin=subprocess.PIPE)\n"
        "line.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait(LIMIT_S)
    assert process.stdout.read() == b"", "the pipe closes when the last process that holds it has ended"
    process.stdout.close()
    assert is_gone(child)


def test_an_interrupt_is_left_to_the_owner(held: tuple[subprocess.Popen[bytes], int]) -> None:
    process, child = held
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    assert not is_gone(child)


def test_a_command_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"import sys; sys.path[:0] = {sys.path!r}; from riacho.testing import lifeline; lifeline.GRACE_S = 0.1; "
    program += f"sys.exit(lifeline.main([sys.executable, '-c', {DEAF!r}]))"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        child = int(process.stdout.readline())
        process.stdin.close()
        process.wait(LIMIT_S)
        assert is_gone(child)


def test_the_exit_code_is_the_commands() -> None:
    process = start("raise SystemExit(7)")
    with process:
        assert process.wait(LIMIT_S) == 7
