"""Lay the services that tests run against in `.services/`: Apache Kafka, from its jars.

    python -m scripts.services COORDINATE...

Spark's own resolver, which `make oracle` laid, fetches the jars. `.services/kafka/` then has them in `libs/`, and in
`formatted/` a broker's storage as a new cluster begins with: formatting takes a JVM of its own, so each broker of the
tests begins with a copy. What is there already is kept; `laid` tells what it was made of.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from riacho.testing.kafka import CLUSTER_ID, broker_settings
from scripts.jars import resolve, spark_home
from scripts.java import run

ROOT = Path(__file__).resolve().parent.parent
ORACLE = ROOT / ".oracle"
KAFKA = ROOT / ".services" / "kafka"


def main(coordinates: Sequence[str]) -> None:
    made_of = hashlib.sha256(f"{sorted(coordinates)}".encode()).hexdigest()
    laid = KAFKA / "laid"
    if laid.exists() and laid.read_text() == made_of:
        return
    print(f"services: fetching {', '.join(coordinates)}", flush=True)
    shutil.rmtree(KAFKA, ignore_errors=True)
    java = Path((ORACLE / "java-home").read_text().strip())
    lay_jars(coordinates, java)
    format_storage(java)
    (KAFKA / "java-home").write_text(f"{java}\n")
    laid.write_text(made_of)


def lay_jars(coordinates: Sequence[str], java: Path) -> None:
    libs = KAFKA / "libs"
    libs.mkdir(parents=True)
    cache = KAFKA / "ivy"
    for jar in resolve(coordinates, ORACLE, java, cache):
        jar.rename(libs / jar.name)
    # The resolver leaves Scala's library out, as Spark has it.
    (scala,) = (spark_home(ORACLE) / "jars").glob("scala-library-2.13.*.jar")
    shutil.copy(scala, libs)
    shutil.rmtree(cache)


def format_storage(java: Path) -> None:
    formatted = KAFKA / "formatted"
    settings = KAFKA / "format.properties"
    settings.write_text(broker_settings(9092, 9093, formatted))
    command = [str(java / "bin" / "java"), "-cp", f"{KAFKA / 'libs'}/*", "kafka.tools.StorageTool"]
    run([*command, "format", "-t", CLUSTER_ID, "-c", str(settings)])


if __name__ == "__main__":
    main(sys.argv[1:])
