"""What a test's outcome on Spark depends on besides the test: the versions, and how the server is set up."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

from tests.record.sources import Source

ROOT = Path(__file__).resolve().parents[2]
# What decides how the oracle answers: names in files. What these call only starts and stops a process.
SERVER = {"tests/servers.py": "ORACLE_SETTINGS", "src/riacho/testing/servers.py": "spark_server"}


class NotSparkError(RuntimeError):
    """A server whose answers may not be recorded."""


def spark() -> str:
    """The version of Spark that `make oracle` lays."""
    return _found(r"(?m)^pyspark\[connect\]==(\S+)", "requirements/oracle.in")


def delta() -> str:
    """The version of Delta Lake that `make oracle` lays."""
    return _found(r"\bio\.delta:\S+:(\S+)", "Makefile")


def versions() -> str:
    """All of it as one text, which is different when an answer may be."""
    lines = [f"spark {spark()}", f"delta {delta()}", f"client {version('pyspark-client')}"]
    for path, name in SERVER.items():
        lines += [definition.text for definition in Source.read(ROOT / path).definitions[name]]
    return "\n".join(lines)


def check(url: str) -> None:
    """Raise NotSparkError unless the server is Apache Spark with Delta Lake, in the versions that are recorded."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(url).create()
    try:
        # Only a JVM can answer this.
        row = session.sql("SELECT version(), reflect('io.delta.package', 'VERSION')").collect()[0]
        found = (row[0].split()[0], row[1])
    except PySparkException as error:
        raise NotSparkError(
            f"{url} is not Apache Spark with Delta Lake, so there is nothing to record: {error}"
        ) from None
    finally:
        session.stop()
    if found != (spark(), delta()):
        raise NotSparkError(
            f"{url} is Spark {found[0]} with Delta Lake {found[1]}; "
            f"recorded are the answers of Spark {spark()} with Delta Lake {delta()}"
        )


def _found(pattern: str, path: str) -> str:
    match = re.search(pattern, (ROOT / path).read_text())
    assert match is not None, f"{path} has no line like {pattern}"
    return match[1]
