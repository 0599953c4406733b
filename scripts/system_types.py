"""Types of the systems whose folders' names are no names of Python's, such as `access-logs`: mypy refuses these.

`python -m scripts.system_types` checks them in a copy, where a `-` is a `_`. It ends with mypy's exit code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="riacho-types-") as folder:
        systems = [path.parent for path in (ROOT / "systems").glob("*-*/spark-pipeline.yml")]
        files = []
        for system in systems:
            copy = Path(folder, "systems", system.name.replace("-", "_"))
            shutil.copytree(system, copy, ignore=shutil.ignore_patterns("transformations", "__pycache__"))
            files += [str(path) for path in copy.rglob("*.py")]
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *files]
        paths = f"{folder}:{ROOT / 'src'}:{ROOT}"
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "MYPYPATH": paths}, check=False)
        return done.returncode if files else 0


if __name__ == "__main__":
    sys.exit(main())
