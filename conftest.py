"""The servers that tests talk to, and the rule that CI skips nothing.

A test that takes `server` (or `spark`, in tests/spec) runs once on riacho and once on Apache Spark. `--server riacho`
or `--server spark` chooses one. With `SPARK_REMOTE` set the tests run on that server, whatever it is; the option then
tells what to take it for. Each server is started once, when the first test asks for it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from riacho.testing.servers import Server, riacho_server, spark_server

ORACLE = Path(__file__).parent / ".oracle"
ON_CI = os.environ.get("CI", "").lower() in ("1", "true")
NAMES = ("riacho", "spark")
# Tests are many short plans: the JVM's first compiler is enough for them, and is warm in half the time. One server
# serves them all: what it keeps of thousands of queries does not fit Spark's default of 1 GB, nor does their code fit
# the 48 MB that this compiler has unless told, and the JVM would go on without it.
ORACLE_SETTINGS = {
    "spark.driver.memory": "3g",
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
    "spark.ui.retainedTasks": "100",
    "spark.sql.ui.retainedExecutions": "10",
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m "
    "-XX:+UseSerialGC",
    "spark.sql.connect.serverStacktrace.enabled": "false",
    "spark.sql.pyspark.jvmStacktrace.enabled": "false",
}

# What `make unit` draws while one works; `make test` draws Hypothesis's hundred.
settings.register_profile("quick", max_examples=15)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=(*NAMES, "both"), default="both", help="where the specification is tested")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" not in metafunc.fixturenames:
        return
    failing = {"riacho": "riacho_gap", "spark": "spark_bug"}
    marks = {name: metafunc.definition.get_closest_marker(failing[name]) for name in NAMES}
    servers = [
        pytest.param(name, id=name, marks=[pytest.mark.xfail(strict=True, reason=mark.args[0])] if mark else [])
        for name, mark in marks.items()
    ]
    metafunc.parametrize("server", servers, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the runs that are not chosen or not meant; that is no skip, for nothing is missing."""
    chosen: str = config.getoption("--server")
    if chosen == "both" and "SPARK_REMOTE" in os.environ:
        chosen = "riacho"

    def wanted(item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        name = callspec.params.get("server") if callspec else None
        if name is None:
            return True
        other = "spark_only" if name == "riacho" else "riacho_only"
        return chosen in (name, "both") and item.get_closest_marker(other) is None

    left_out = [item for item in items if not wanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if wanted(item)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI a test that skips itself has failed: something it needs is missing, and nobody would see."""
    report = yield
    if ON_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and on CI nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def start_server() -> Iterator[Callable[[str], Server]]:
    """A function from `riacho` or `spark` to that server, running; started the first time it is asked for."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="riacho-tests-")))
        started: dict[str, Server] = {}

        def start(name: str) -> Server:
            if name not in started:
                started[name] = _start(name, folder / name, stack)
            return started[name]

        yield start


def _start(name: str, folder: Path, stack: ExitStack) -> Server:
    if url := os.environ.get("SPARK_REMOTE"):
        return Server(name, url, Path(os.devnull))
    if name == "riacho":
        return stack.enter_context(riacho_server(folder))
    if not (ORACLE / "laid").exists():
        pytest.skip("Apache Spark is not there to compare with: run `make oracle`")
    return stack.enter_context(spark_server(ORACLE, folder, settings=ORACLE_SETTINGS))


@pytest.fixture
def server(request: pytest.FixtureRequest, start_server: Callable[[str], Server]) -> Server:
    """The server that this run of the test is for."""
    return start_server(request.param)
