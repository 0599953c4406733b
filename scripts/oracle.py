"""Lay Apache Spark in `.oracle/`: the specification that tests/spec runs against, and the other side of bench/.

    python scripts/oracle.py COORDINATE...

`.oracle/` becomes an environment of the same Python as the one that runs this script (Spark's workers must match the
client's Python), with Spark from `requirements/oracle.txt`, the jars of Delta Lake and of Spark's own modules for Kafka
and Avro in `jars/`, and in `java-home` where a Java that Spark can use lies. Java is installed by the package manager
if the machine has none and we may. What is there already is kept; `.oracle/laid` tells what it was made of.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".oracle"
LOCK = ROOT / "requirements" / "oracle.txt"
JAVA_VERSIONS = (17, 21)
# How each package manager installs Java 17, and what has to be asked first.
INSTALLERS = {
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "openjdk-17-jre-headless"]),
    "dnf": (["dnf", "install", "-y", "-q", "java-17-openjdk-headless"],),
    "apk": (["apk", "add", "--no-cache", "bash", "openjdk17-jre-headless"],),
    "brew": (["brew", "install", "--quiet", "openjdk@17"],),
}
# Whose jars are kept; what else they ask for, Spark brings, in the versions it was built with.
KEPT = ("io.delta", "org.apache.spark", "org.apache.kafka", "org.apache.commons")
VERSION = re.compile(r"-\d+(\.[\w-]+)*\.jar$")


def main(coordinates: Sequence[str]) -> None:
    made_of = hashlib.sha256(f"{LOCK.read_text()}{coordinates}{sys.version}".encode()).hexdigest()
    laid = HOME / "laid"
    java = java_home()
    if not (laid.exists() and laid.read_text() == made_of):
        lay_environment()
        lay_jars(coordinates, java)
    (HOME / "java-home").write_text(f"{java}\n")
    laid.write_text(made_of)


def lay_environment() -> None:
    print("oracle: installing Apache Spark in .oracle/", flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(HOME)])
    run([str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)])


def lay_jars(coordinates: Sequence[str], java: Path) -> None:
    """Let Spark's own resolver fetch `coordinates` and what they ask for; keep the jars that Spark does not bring."""
    print(f"oracle: fetching {', '.join(coordinates)}", flush=True)
    (spark,) = HOME.glob("lib/python3.*/site-packages/pyspark")
    nothing = HOME / "nothing.py"
    nothing.write_text("")
    cache = HOME / "ivy"
    submit = [str(spark / "bin" / "spark-submit"), "--master", "local[1]", "--packages", ",".join(coordinates)]
    submit += ["--conf", f"spark.jars.ivy={cache}", "--conf", "spark.ui.enabled=false", str(nothing)]
    environment = {"JAVA_HOME": str(java), "SPARK_HOME": str(spark), "PYSPARK_PYTHON": str(HOME / "bin" / "python")}
    run(submit, environment)
    jars = HOME / "jars"
    jars.mkdir()
    spark_has = {VERSION.sub("", jar.name) for jar in (spark / "jars").glob("*.jar")}
    for jar in (cache / "jars").glob("*.jar"):
        if jar.name.startswith(KEPT) and artifact_of(jar) not in spark_has:
            jar.rename(jars / jar.name)
    laid = {artifact_of(jar) for jar in jars.iterdir()}
    if missing := [each for each in coordinates if each.split(":")[1] not in laid]:
        sys.exit(f"oracle: {', '.join(missing)} brought no jar; look at {cache}")
    shutil.rmtree(cache)
    nothing.unlink()


def artifact_of(jar: Path) -> str:
    """What Ivy calls `group_artifact-version.jar`, without its group and its version."""
    return VERSION.sub("", jar.name.partition("_")[2])


def java_home() -> Path:
    """Where a Java of `JAVA_VERSIONS` lies; installs one if there is none. Exits with the way out if it cannot."""
    for candidate in java_candidates():
        if java_version(candidate) in JAVA_VERSIONS:
            return candidate
    install_java()
    for candidate in java_candidates():
        if java_version(candidate) in JAVA_VERSIONS:
            return candidate
    sys.exit("oracle: Java was installed but is not to be found; set JAVA_HOME to a Java 17 or 21")


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
        sys.exit(f"oracle: Apache Spark needs Java, and this machine has no package manager we know: {by_hand}")
    as_root: list[str] = []
    if manager != "brew" and os.geteuid() != 0:
        as_root = ["sudo", "-n"]
        if not shutil.which("sudo") or subprocess.run([*as_root, "true"], capture_output=True, check=False).returncode:
            sys.exit(f"oracle: Apache Spark needs Java, and we may not install it for you: {by_hand}")
    for command in INSTALLERS[manager]:
        print(f"oracle: {' '.join(command)}", flush=True)
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
        sys.exit(f"oracle: `{' '.join(command)}` failed:\n{done.stdout[-4000:]}")


if __name__ == "__main__":
    main(sys.argv[1:])
