"""Lay a program that tests run against in an environment of its own, apart from riacho's packages."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from scripts.java import run

ROOT = Path(__file__).resolve().parent.parent


def lay(home: Path, lock: Path, what: str) -> None:
    """Make the environment `home` of what `lock` names, unless `home`/laid says that it is there already."""
    made_of = hashlib.sha256(f"{lock.read_text()}{sys.version}".encode()).hexdigest()
    laid = home / "laid"
    if laid.exists() and laid.read_text() == made_of:
        return
    print(f"services: installing {what} in {home.relative_to(ROOT)}/", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(home)])
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", str(lock)])
    laid.write_text(made_of)
