"""`transform_data`: an update of the pipeline, as `riacho run` makes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SYSTEM: Final = Path(__file__).parents[1]
LIMIT_S: Final = 900.0


class UpdateFailedError(RuntimeError):
    """An update that did not go through; the message is what it printed last."""


def transform_data(
    warehouse: str, *, profile: str | None = None, remote: str | None = None, confs: Sequence[str] = ()
) -> str:
    """Take everything new through bronze, silver and gold; what was printed. Raises UpdateFailedError.

    `warehouse`: where the tables are, unless `remote` is the address of a server. `confs`: `KEY=VALUE`.
    """
    command = [sys.executable, "-m", "riacho", "run", str(SYSTEM)]
    command += ["--remote", remote] if remote else ["--warehouse", warehouse]
    command += ["--profile", profile] if profile else []
    for conf in confs:
        command += ["--conf", conf]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S
    )
    if done.returncode:
        raise UpdateFailedError("\n".join(done.stdout.strip().splitlines()[-8:]))
    return done.stdout
