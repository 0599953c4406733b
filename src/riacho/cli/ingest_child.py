"""The ingest server beside `riacho up`: a process of its own, started again when it ends by itself.

Parsing what is posted and running batches would share one interpreter lock in one process, and each would wait for the
other.
"""

from __future__ import annotations

import select
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from riacho.cli.child import environment
from riacho.cli.failures import CommandError
from riacho.cli.terminal import warn

DEFAULT_HTTP: Final = "127.0.0.1:8089"
START_LIMIT_S: Final = 30.0
TAKEN_LIMIT_S: Final = 10.0
"""How long the port or a log may still be taken: by the child of a server that was killed, which is about to end."""
STOP_LIMIT_S: Final = 10.0
LONGEST_PAUSE_S: Final = 30.0


class IngestChild:
    """An ingest server that lives until `stop`, or as long as this process. Raises CommandError if none starts.

    What it says goes to the file `log`, or to the terminal.
    """

    def __init__(self, http: str, file: Path | None, folder: Path, *, log: Path | None = None) -> None:
        self._log = log
        self._command = [sys.executable, "-P", "-m", "riacho", "ingest", "serve"]
        self._command += [str(file.absolute())] if file else []
        self._command += ["--folder", str(folder), "--until-eof", "--http"]
        self._stopping = threading.Event()
        self.url = self._first(http)
        self._address = self.url.partition("://")[2]
        """With the port that was picked: the next process is to have the same."""
        threading.Thread(target=self._watch, name="riacho-ingest-watch", daemon=True).start()

    def stop(self) -> None:
        """End it; what it has taken is on disk. Idempotent."""
        self._stopping.set()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _first(self, http: str) -> str:
        deadline = time.monotonic() + TAKEN_LIMIT_S
        while True:
            url = self._started(http)
            if url:
                return url
            if time.monotonic() > deadline:
                raise CommandError("the ingest server did not start", f"{self._log or 'the line above'} says why")
            time.sleep(0.5)

    def _started(self, http: str) -> str:
        """Start a process; its address, or nothing if it ended."""
        with self._log.open("ab") if self._log else nullcontext() as log:
            self._process = subprocess.Popen(
                [*self._command, http],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Its own group: a Ctrl-C in the terminal is for us, who then stop it in order.
                start_new_session=True,
                env={**environment(), "PYTHONUNBUFFERED": "1"},
            )
        stdout = self._process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], START_LIMIT_S)
        line = stdout.readline().decode().strip() if ready else ""
        if not line.startswith("http"):
            self._process.kill()
            self._process.communicate()
            return ""
        return line

    def _watch(self) -> None:
        pause = 0.5
        while True:
            began = time.monotonic()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            pause = 0.5 if time.monotonic() - began > LONGEST_PAUSE_S else min(pause * 2, LONGEST_PAUSE_S)
            warn(f"the ingest server ended by itself (exit code {code}) and is started again")
            if self._stopping.wait(pause):
                return
            self._started(self._address)
