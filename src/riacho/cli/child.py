"""A server for as long as one command runs: `riacho up` on a free port, as a child process.

A process of its own, for PySpark's client and the server share no interpreter lock then, and load at the same time.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from riacho.cli.failures import CommandError
from riacho.storage import Place

START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0
_LOG_TAIL = 3


class ServerChild:
    """A server over `warehouse`, starting from construction on. It ends with `stop`, or when this process does.

    What it logs goes to standard error if `verbose`, else to a file that a failure quotes.
    """

    def __init__(self, warehouse: Place, *, verbose: bool = False) -> None:
        self._copier: threading.Thread | None = None
        self._log: IO[bytes] | None = None if verbose else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: a file in the user's folder must not stand in for a module of ours.
            [sys.executable, "-P", "-m", "riacho", "up", "--port", "0", "--warehouse", str(warehouse), "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(),
            # Its own group: a Ctrl-C in the terminal is for us, who then stop it in order.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def url(self) -> str:
        """Its address, once it listens. Raises CommandError if it does not come up."""
        stdout = self._process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], START_LIMIT_S)
        line = stdout.readline().decode().strip() if ready else ""
        if not line.startswith("sc://"):
            took = "" if ready else f" within {START_LIMIT_S:.0f} s"
            raise CommandError(
                f"the server did not start{took}: {self.last_words() or 'it printed nothing'}",
                "`riacho doctor` looks for the cause",
            )
        # A console sink prints on the server's standard output.
        self._copier = threading.Thread(target=shutil.copyfileobj, args=(stdout, sys.stdout.buffer), daemon=True)
        self._copier.start()
        return line

    def last_words(self) -> str:
        """The end of its log, on one line; nothing if it logged nothing or to the terminal."""
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return " ".join(line.strip().removeprefix("error: ") for line in lines[-_LOG_TAIL:])

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """When the block fails and the server is gone, raise CommandError, which says so and how it ended."""
        try:
            yield
        except Exception as error:
            code = self._process.poll()
            if code is None:
                raise
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            told = f": {words}" if (words := self.last_words()) else ""
            hint = "run it again: it continues where it stopped; --verbose shows the server's log"
            raise CommandError(f"the server {ended}{told}", hint) from error

    def stop(self) -> None:
        """Stop it in order, or after `STOP_LIMIT_S` at once. Idempotent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._copier is not None:
            self._copier.join(STOP_LIMIT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._log is not None:
            self._log.close()


@contextmanager
def serving(warehouse: Place, *, verbose: bool = False) -> Iterator[ServerChild]:
    """A server over `warehouse` while the block runs."""
    child = ServerChild(warehouse, verbose=verbose)
    try:
        yield child
    finally:
        child.stop()


def environment() -> dict[str, str]:
    """Ours, without what would turn a server into a client of another, or colour the address that is read from it."""
    left_out = ("SPARK_", "PYSPARK_", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")
    return {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
