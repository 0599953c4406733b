"""Lay Apache Spark in `.oracle/`: the specification that tests/spec runs against, and the other side of bench/.

    python -m scripts.oracle COORDINATE...

`.oracle/` becomes an environment of the same Python as the one that runs this script (Spark's workers must match the
client's Python), with Spark from `requirements/oracle.txt`, the jars of Delta Lake, of Spark's own modules for Kafka
and Avro and of the drivers of databases in `jars/`, and in `java-home` where a Java that Spark can use lies. Java is
installed by the package manager if the machine has none and we may. What is there already is kept; `.oracle/laid`
tells what it was made of.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.jars import VERSION, artifact_of, resolve, spark_home
from scripts.java import java_home, run

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".oracle"
LOCK = ROOT / "requirements" / "oracle.txt"
# Whose jars are kept; what else they ask for, Spark brings, in the versions it was built with.
KEPT = (
    "io.delta",
    "org.apache.spark",
    "org.apache.kafka",
    "org.apache.commons",
    "org.mongodb",
    "org.postgresql",
    "org.xerial",
)


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
    cache = HOME / "ivy"
    fetched = resolve(coordinates, HOME, java, cache)
    jars = HOME / "jars"
    jars.mkdir()
    spark_has = {VERSION.sub("", jar.name) for jar in (spark_home(HOME) / "jars").glob("*.jar")}
    for jar in fetched:
        if jar.name.startswith(KEPT) and artifact_of(jar) not in spark_has:
            jar.rename(jars / jar.name)
    laid = {artifact_of(jar) for jar in jars.iterdir()}
    if missing := [each for each in coordinates if each.split(":")[1] not in laid]:
        sys.exit(f"oracle: {', '.join(missing)} brought no jar; look at {cache}")
    shutil.rmtree(cache)


if __name__ == "__main__":
    main(sys.argv[1:])
