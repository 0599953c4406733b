"""Fetch jars and what they ask for with the resolver that comes with Apache Spark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from scripts.java import run

VERSION = re.compile(r"-\d+(\.[\w-]+)*\.jar$")


def spark_home(oracle: Path) -> Path:
    """Where Spark lies in the environment that `make oracle` laid."""
    (found,) = oracle.glob("lib/python3.*/site-packages/pyspark")
    return found


def resolve(coordinates: Sequence[str], oracle: Path, java: Path, cache: Path) -> list[Path]:
    """The jars of `coordinates` and of what they ask for, but not Scala's library, which Spark brings.

    They lie below `cache`, which the caller removes. Exits with what the resolver said if it fails.
    """
    spark = spark_home(oracle)
    cache.mkdir(parents=True, exist_ok=True)
    nothing = cache / "nothing.py"
    nothing.write_text("")
    submit = [str(spark / "bin" / "spark-submit"), "--master", "local[1]", "--packages", ",".join(coordinates)]
    submit += ["--conf", f"spark.jars.ivy={cache}", "--conf", "spark.ui.enabled=false", str(nothing)]
    run(
        submit,
        {"JAVA_HOME": str(java), "SPARK_HOME": str(spark), "PYSPARK_PYTHON": str(oracle / "bin" / "python")},
    )
    return sorted((cache / "jars").glob("*.jar"))


def artifact_of(jar: Path) -> str:
    """What Ivy calls `group_artifact-version.jar`, without its group and its version."""
    return VERSION.sub("", jar.name.partition("_")[2])
