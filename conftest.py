"""The servers that tests talk to, and the rule that CI skips nothing.

A test that takes `server` (or `spark`, in tests/spec) runs once on riacho and once on Apache Spark. `--server riacho`
or `--server spark` chooses one. With `SPARK_REMOTE` set the tests run on that server, whatever it is; the option then
tells what to take it for. Each server is started once, when the first test asks for it.

What Spark has answered before is not asked again (`tests/record`), unless `--server spark` or `--spark-all` wants it.
"""

from __future__ import annotations

import faulthandler
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql.connect.client.retries import DefaultPolicy

from riacho.testing.servers import Server, riacho_server, spark_server
from tests.record import versions
from tests.servers import (
    ORACLE_SETTINGS,
    RECORDING,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_generate_tests,
)

__all__ = ["pytest_addoption", "pytest_collection_modifyitems", "pytest_configure", "pytest_generate_tests"]

ORACLE = Path(__file__).parent / ".oracle"
# One server answers all tests: what it keeps of 1,400 of them is more than the 3 GB of `ORACLE_SETTINGS`. How much it
# has changes no answer, so it does not stand there, where each change means that all of them are asked again.
ORACLE_HEAP = {"spark.driver.memory": "6g"}
ON_CI = os.environ.get("CI", "").lower() in ("1", "true")
# What is drawn at random is the same in each run, so that a change fails for its own sake. `fresh` draws anew, `quick`
# draws little, while one works. No draw is timed: a machine may be busy.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("quick", settings.get_profile("fixed"), max_examples=15)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fixed")

# PySpark asks a server that is gone again for ten minutes, also in threads that outlive their test. Here servers come
# and go: five times, some 17 seconds, tell as much.
DefaultPolicy.__init__ = partialmethod(DefaultPolicy.__init__, max_retries=5)  # type: ignore[method-assign,assignment]
EXIT_LIMIT_S = 60


def pytest_unconfigure() -> None:
    """A run that has told its result must end: threads that are still at work then are shown, and it fails."""
    faulthandler.dump_traceback_later(EXIT_LIMIT_S, exit=True, file=2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI a test that skips itself has failed: something it needs is missing, and nobody would see."""
    report = yield
    if ON_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and on CI nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def start_server(pytestconfig: pytest.Config) -> Iterator[Callable[[str], Server]]:
    """A function from `riacho` or `spark` to that server, running; started the first time it is asked for."""
    recording = pytestconfig.stash[RECORDING]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="riacho-tests-")))
        started: dict[str, Server] = {}

        def start(name: str) -> Server:
            if name not in started:
                started[name] = _start(name, folder / name, stack)
                if name == "spark" and recording.writing:
                    versions.check(started[name].url)
            return started[name]

        yield start


def _start(name: str, folder: Path, stack: ExitStack) -> Server:
    if url := os.environ.get("SPARK_REMOTE"):
        return Server(name, url, Path(os.devnull))
    if name == "riacho":
        return stack.enter_context(riacho_server(folder))
    if not (ORACLE / "laid").exists():
        pytest.skip("Apache Spark is not there to compare with: run `make oracle`")
    return stack.enter_context(spark_server(ORACLE, folder, settings={**ORACLE_SETTINGS, **ORACLE_HEAP}))


@pytest.fixture
def server(request: pytest.FixtureRequest, start_server: Callable[[str], Server]) -> Server:
    """The server that this run of the test is for."""
    return start_server(request.param)
