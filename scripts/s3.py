"""Lay the object storage that tests run against in `.services/s3/`: Moto's server, which speaks S3 from memory.

    python -m scripts.s3

It gets an environment of its own, from `requirements/s3.txt`, so that what it asks for does not meet what riacho asks
for. What is there already is kept; `laid` tells what it was made of.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from scripts.java import run

ROOT = Path(__file__).resolve().parent.parent
S3 = ROOT / ".services" / "s3"
LOCK = ROOT / "requirements" / "s3.txt"


def main() -> None:
    made_of = hashlib.sha256(f"{LOCK.read_text()}{sys.version}".encode()).hexdigest()
    laid = S3 / "laid"
    if laid.exists() and laid.read_text() == made_of:
        return
    print("services: installing Moto in .services/s3/", flush=True)
    shutil.rmtree(S3, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(S3)])
    pip = [str(S3 / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", str(LOCK)])
    laid.write_text(made_of)


if __name__ == "__main__":
    main()
