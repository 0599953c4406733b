"""A PostgreSQL as a child process, for tests and benchmarks: on loopback, with logical replication, gone afterwards."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

from riacho.extras import require
from riacho.testing.servers import ServerStartError, running
from riacho.testing.services import free_ports

PASSWORD: Final = "made-for-tests"  # noqa: S105 - of a server that only this machine reaches
START_LIMIT_S: Final = 60
STOP_LIMIT_S: Final = 20
_READY = re.compile(r"database system is ready to accept connections")
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "64",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_sender_timeout": "0",
    # Nobody needs these data after a power cut.
    "fsync": "off",
    "full_page_writes": "off",
}


class PostgresServer:
    """A server made of the programs that `make services` has found; `home` is `.services/postgres`.

    It can be stopped and started again: it keeps its port and its data until the block is left. Its user is
    `postgres`, with `PASSWORD`. Where we are root, it runs as the system's user `postgres`, for PostgreSQL refuses
    root. `settings` go before its own. Starting raises `servers.ServerStartError`.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self._programs = Path((home / "laid").read_text().strip())
        self._settings = {**_SETTINGS, **(settings or {})}
        self._folder: Path | None = None
        self._stack = ExitStack()
        (self.port,) = free_ports(1)

    @property
    def url(self) -> str:
        """Of its first database, with user and password."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> Path:
        """What the server printed since it was started last."""
        assert self._folder is not None, "the server was never started"
        return self._folder / "postgres.log"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        if self._folder is None:
            self._folder = self._make()
        data = self._folder / "data"
        command = [*self._as_user(), str(self._programs / "postgres"), "-D", str(data), "-p", str(self.port)]
        command += ["-k", str(self._folder)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._stack.enter_context(running("PostgreSQL", command, {}, self.log, _READY, START_LIMIT_S))

    def stop(self) -> None:
        """Stop it: who is connected is cut off, and its data stay."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: nothing is written any more, and the next start recovers from its log."""
        self._signal(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._folder is not None:
            pid_file = self._folder / "data" / "postmaster.pid"
            with suppress(FileNotFoundError, ProcessLookupError):
                pid = int(pid_file.read_text().split()[0])
                os.kill(pid, number)
                deadline = time.monotonic() + STOP_LIMIT_S
                while time.monotonic() < deadline:
                    os.kill(pid, 0)
                    time.sleep(0.02)
        self._stack.close()

    def _make(self) -> Path:
        """A folder with the files of a new server in `data`; one that the system's user `postgres` can reach."""
        folder = Path(tempfile.mkdtemp(prefix="riacho-postgres-"))
        password = folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, password):
                shutil.chown(path, "postgres", "postgres")
        command = [*self._as_user(), str(self._programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        password.unlink()
        if made.returncode:
            shutil.rmtree(folder)
            raise ServerStartError(f"PostgreSQL's initdb failed: {made.stdout[-2000:]}{made.stderr[-2000:]}")
        return folder

    @staticmethod
    def _as_user() -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def execute(self, sql: str, *parameters: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement, or several without parameters, on a connection of its own; the rows of the last."""
        psycopg = require("psycopg", "postgres", "PostgresServer")
        with psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(sql, parameters or None)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> str:
        """Make a new database, in some 50 ms; its name."""
        name = f"t_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database with its replication slots, whoever is connected to it."""
        slots = "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s"
        deadline = time.monotonic() + STOP_LIMIT_S
        while (found := self.execute(slots, name)) and time.monotonic() < deadline:
            for slot, pid in found:
                if pid is not None:
                    self.execute("SELECT pg_terminate_backend(%s, 5000)", pid)
                with suppress(Exception):  # somebody may hold it again: then once more
                    self.execute("SELECT pg_drop_replication_slot(%s)", slot)
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database by name, removed with its replication slots when the block is left."""
        name = self.create_database()
        try:
            yield name
        finally:
            self.drop_database(name)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._remove()

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
