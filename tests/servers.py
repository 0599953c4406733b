"""Which server a test runs on: the options, the runs of each test, and those that are left out.

A test that takes `server` (or `spark`, in tests/spec) runs once on riacho and once on Apache Spark. `--server riacho`
or `--server spark` chooses one. What Spark has answered before is not asked again (`tests/record`), unless
`--server spark` or `--spark-all` wants it. The project's conftest takes these hooks over.
"""

from __future__ import annotations

import os

import pytest

from tests.record.plugin import Recording

NAMES = ("riacho", "spark")
RECORDING = pytest.StashKey[Recording]()
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=(*NAMES, "both"), default="both", help="where the specification is tested")
    parser.addoption("--spark-all", action="store_true", help="run on Spark also what it has answered before")
    parser.addoption("--record", action="store_true", help="run on Spark what it has not answered yet, and record it")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDING] = Recording(config.rootpath, writing=config.getoption("--record"))
    config.pluginmanager.register(config.stash[RECORDING], "riacho-recording")


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the runs that are not chosen, not meant, or on record; that is no skip, for nothing is missing."""
    recording = config.stash[RECORDING]
    chosen: str = "spark" if recording.writing else config.getoption("--server")
    if chosen == "both" and "SPARK_REMOTE" in os.environ:
        chosen = "riacho"
    asks_again = config.getoption("--spark-all") or (chosen == "spark" and not recording.writing)

    def wanted(item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        name = callspec.params.get("server") if callspec else None
        if name is None:
            return True
        other = "spark_only" if name == "riacho" else "riacho_only"
        return chosen in (name, "both") and item.get_closest_marker(other) is None

    meant = [item for item in items if wanted(item)]
    if chosen != "riacho":
        recording.look_at(config, meant)
        answered = set() if asks_again else {item for item in meant if recording.has(item)}
        recording.left_out = len(answered)
        meant = [item for item in meant if item not in answered]
    if left_out := set(items) - set(meant):
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = meant
