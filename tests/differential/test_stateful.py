"""riacho and Apache Spark give the same rows, watermarks and numbers of state, batch by batch, for any query drawn.

`RIACHO_DIFFERENTIAL_CASES` says how many fresh cases a run draws. If it is not set, the run has 100 cases that are
always the same, so that a change is not blamed for what was wrong before it.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, seed, settings

from riacho.testing.servers import outer_environment
from tests.differential.cases import Case, cases
from tests.differential.riacho_side import RiachoSide

FRESH = os.environ.get("RIACHO_DIFFERENTIAL_CASES")
CASES = int(FRESH or 100)
ALWAYS = 20261122
ORACLE = Path(__file__).parents[2] / ".oracle"


class SparkSide:
    """Apache Spark in a process of its own. What it prints goes to `log`."""

    def __init__(self, log: Path) -> None:
        script = Path(__file__).with_name("spark_side.py")
        java_home = (ORACLE / "java-home").read_text().strip()
        python = str(ORACLE / "bin" / "python")
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [python, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env={**outer_environment(), "JAVA_HOME": java_home, "PYSPARK_PYTHON": python},
            )
        assert self._answer() == "ready"

    def run(self, line: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Spark's process ended:\n{self._log.read_text()[-4000:]}")
        return json.loads(line)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSide]:
    if not (ORACLE / "laid").exists():
        pytest.skip("Apache Spark is not there to compare with: run `make oracle`")
    side = SparkSide(tmp_path_factory.mktemp("spark") / "spark.log")
    yield side
    side.close()


@pytest.fixture(scope="module")
def riacho() -> Iterator[RiachoSide]:
    side = RiachoSide()
    yield side
    side.close()


def check(case: Case, riacho: RiachoSide, spark: SparkSide) -> None:
    with tempfile.TemporaryDirectory() as name:
        expected = spark.run(case.write(Path(name)))
        found = riacho.run(case, Path(name))
    note(f"spark:  {json.dumps(expected)}")
    note(f"riacho: {json.dumps(found)}")
    assert found == expected


@pytest.mark.timeout(300 + 10 * CASES)
@seed(secrets.randbits(64) if FRESH else ALWAYS)
@given(case=cases())
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_any_stateful_query_is_as_on_spark(case: Case, riacho: RiachoSide, spark: SparkSide) -> None:
    check(case, riacho, spark)
