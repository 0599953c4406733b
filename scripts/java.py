"""Find a Java that Apache Spark and Apache Kafka can use, or install one; and run the programs that set tests up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

JAVA_VERSIONS = (17, 21)
# How each package manager installs Java 17, and what has to be asked first.
INSTALLERS = {
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "openjdk-17-jre-headless"]),
    "dnf": (["dnf", "install", "-y", "-q", "java-17-openjdk-headless"],),
    "apk": (["apk", "add", "--no-cache", "bash", "openjdk17-jre-headless"],),
    "brew": (["brew", "install", "--quiet", "openjdk@17"],),
}


def java_home() -> Path:
    """Where a Java of `JAVA_VERSIONS` lies; installs one if there is none. Exits with the way out if it cannot."""
    for candidate in java_candidates():
        if java_version(candidate) in JAVA_VERSIONS:
            return candidate
    install_java()
    for candidate in java_candidates():
        if java_version(candidate) in JAVA_VERSIONS:
            return candidate
    sys.exit("setup: Java was installed but is not to be found; set JAVA_HOME to a Java 17 or 21")


def java_candidates() -> Iterator[Path]:
    """Folders that may hold a Java, the user's own choice first."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    for pattern in ("usr/lib/jvm/*", "opt/homebrew/opt/openjdk@*", "usr/local/opt/openjdk@*"):
        yield from sorted(Path("/").glob(pattern))


def java_version(home: Path) -> int | None:
    """The major version of the Java in `home`, or None if there is none that runs."""
    try:
        told = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found[1]) if found else None


def install_java() -> None:
    by_hand = "install a Java 17 or 21 runtime (or set JAVA_HOME to one) and run `make test` again"
    manager = next((name for name in INSTALLERS if shutil.which(name)), None)
    if manager is None:
        sys.exit(f"setup: Apache Spark and Kafka need Java, and this machine has no package manager we know: {by_hand}")
    as_root: list[str] = []
    if manager != "brew" and os.geteuid() != 0:
        as_root = ["sudo", "-n"]
        if not shutil.which("sudo") or subprocess.run([*as_root, "true"], capture_output=True, check=False).returncode:
            sys.exit(f"setup: Apache Spark and Kafka need Java, and we may not install it for you: {by_hand}")
    for command in INSTALLERS[manager]:
        print(f"setup: {' '.join(command)}", flush=True)
        run([*as_root, *command], {"DEBIAN_FRONTEND": "noninteractive"})


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command quietly; exit with what it printed if it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"setup: `{' '.join(command)}` failed:\n{done.stdout[-4000:]}")
