"""riacho and Apache Spark give the same rows, watermarks and numbers of state, batch by batch, for any query drawn.

The cases are the same in each run, so Spark is asked what is not on record yet (`recorded`); with
`RIACHO_DIFFERENTIAL_CASES` so many are drawn anew. A failure prints a small case that shows it, `case=Case(…)`. To run
that again, put it above the test: `@example(case=Case(…))`.
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
from hypothesis import HealthCheck, Phase, given, seed, settings

from riacho.testing.servers import outer_environment
from tests.differential.answers import differences
from tests.differential.cases import Case, cases
from tests.differential.recorded import Recorded
from tests.differential.riacho_side import RiachoSide

FRESH = "RIACHO_DIFFERENTIAL_CASES" in os.environ
CASES = int(os.environ.get("RIACHO_DIFFERENTIAL_CASES", "100"))
ORACLE = Path(__file__).parents[2] / ".oracle"


class SparkSide:
    """Apache Spark in a process of its own, started when it is first asked. What it prints goes to `log`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, line: str) -> Any:
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return self._answer(process)

    def close(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _start(self) -> subprocess.Popen[str]:
        if not (ORACLE / "laid").exists():
            pytest.skip("Apache Spark is not there to compare with: run `make oracle`")
        script = Path(__file__).with_name("spark_side.py")
        java_home = (ORACLE / "java-home").read_text().strip()
        python = str(ORACLE / "bin" / "python")
        with self._log.open("w") as output:
            process = subprocess.Popen(
                [python, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env={**outer_environment(), "JAVA_HOME": java_home, "PYSPARK_PYTHON": python},
            )
        assert self._answer(process) == "ready"
        self._process = process
        return process

    def _answer(self, process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"Spark's process ended:\n{self._log.read_text()[-4000:]}")
        return json.loads(line)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSide]:
    side = SparkSide(tmp_path_factory.mktemp("spark") / "spark.log")
    yield side
    side.close()


@pytest.fixture(scope="module")
def riacho() -> Iterator[RiachoSide]:
    side = RiachoSide()
    yield side
    side.close()


@pytest.fixture(scope="module")
def recorded(pytestconfig: pytest.Config) -> Iterator[Recorded]:
    known = Recorded(writing=pytestconfig.getoption("--record") and not FRESH)
    yield known
    known.write()


@pytest.mark.timeout(600 + 10 * CASES)
@seed(secrets.randbits(64) if FRESH else 0)
@given(case=cases())
@settings(
    max_examples=CASES,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_any_stateful_query_is_as_on_spark(
    pytestconfig: pytest.Config, case: Case, riacho: RiachoSide, spark: SparkSide, recorded: Recorded
) -> None:
    with tempfile.TemporaryDirectory() as name:
        line = case.write(Path(name))
        found = riacho.run(case, Path(name))
        if recorded.agrees(case, found) and not pytestconfig.getoption("--spark-all"):
            return
        expected = spark.run(line)
    recorded.note(case, expected)
    if found != expected:
        pytest.fail(differences(found, expected))
