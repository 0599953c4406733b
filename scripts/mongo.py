"""Lay the MongoDB server that tests run against in `.services/mongo/`: SecantusDB, in an environment of its own.

    python -m scripts.mongo

It speaks MongoDB's protocol and has change streams, transactions, validators and logins. It is not MongoDB, and its
licence is the GPL: nothing here imports it, tests talk to it over a socket. What is there already is kept; `laid` tells
what it was made of.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from pathlib import Path

from scripts.java import run

ROOT = Path(__file__).resolve().parent.parent
MONGO = ROOT / ".services" / "mongo"
WANTED = ROOT / "requirements" / "mongo.txt"


def main() -> None:
    made_of = hashlib.sha256(WANTED.read_bytes()).hexdigest()
    laid = MONGO / "laid"
    if laid.exists() and laid.read_text() == made_of:
        return
    print("services: installing a server of MongoDB's protocol", flush=True)
    shutil.rmtree(MONGO, ignore_errors=True)
    MONGO.mkdir(parents=True)
    venv.create(MONGO / "venv", with_pip=True)
    command = [str(MONGO / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*command, "--require-hashes", "-r", str(WANTED)])
    laid.write_text(made_of)


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(f"usage: {Path(sys.argv[0]).name}, without arguments")
    main()
