"""Find a PostgreSQL for tests, or install one, and note in `.services/postgres/` where its programs lie.

    python -m scripts.postgres

Any PostgreSQL from 14 on will do; where the machine has none, Debian's package manager brings one. Debian makes and
starts a database on port 5432 with it unless it is told not to before: it is told.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.java import run

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = ROOT / ".services" / "postgres"
LEAST = 14
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.conf")
_COMMANDS = (
    ["mkdir", "-p", str(NO_CLUSTER.parent)],
    ["sh", "-c", f"[ -e {NO_CLUSTER} ] || echo 'create_main_cluster = false' > {NO_CLUSTER}"],
    ["apt-get", "update", "-qq"],
    ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"],
)


def main() -> None:
    laid = POSTGRES / "laid"
    if laid.exists() and postgres_version(Path(laid.read_text())) is not None:
        return
    programs = find()
    if programs is None:
        install()
        programs = find()
    if programs is None:
        sys.exit("setup: PostgreSQL was installed but is not to be found; put its programs (`initdb`) on the PATH")
    POSTGRES.mkdir(parents=True, exist_ok=True)
    laid.write_text(str(programs))


def find() -> Path | None:
    """The folder of the programs of the newest PostgreSQL on this machine; None if there is none that will do."""
    versions = [(version, folder) for folder in candidates() if (version := postgres_version(folder)) is not None]
    good = [(version, folder) for version, folder in versions if version >= LEAST]
    return max(good)[1] if good else None


def candidates() -> Iterator[Path]:
    """Folders that may hold PostgreSQL's programs."""
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin"):
        yield from sorted(Path("/").glob(pattern))


def postgres_version(folder: Path) -> int | None:
    """The major version of the PostgreSQL in `folder`, or None if there is none that runs."""
    try:
        told = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", told.stdout)
    return int(found[1]) if found and (folder / "initdb").exists() else None


def install() -> None:
    by_hand = f"install PostgreSQL {LEAST} or newer, its programs on the PATH, and run `make services` again"
    if not shutil.which("apt-get"):
        sys.exit(
            f"setup: tests need PostgreSQL, and this machine has no package manager that we know for it: {by_hand}"
        )
    as_root: list[str] = []
    if os.geteuid() != 0:
        as_root = ["sudo", "-n"]
        if not shutil.which("sudo") or subprocess.run([*as_root, "true"], capture_output=True, check=False).returncode:
            sys.exit(f"setup: tests need PostgreSQL, and we may not install it for you: {by_hand}")
    for command in _COMMANDS:
        print(f"services: {' '.join(command)}", flush=True)
        run([*as_root, *command], {"DEBIAN_FRONTEND": "noninteractive"})


if __name__ == "__main__":
    main()
