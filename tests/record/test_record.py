"""What Spark has answered is not asked again, and whatever may change an answer has it asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.record import answers, versions
from tests.record.fingerprint import Fingerprints

pytest_plugins = ["pytester"]

# The project's own hooks, and beside it a server that is only a name: it has nothing to answer.
CONFTEST = """
import pytest
from pathlib import Path
from riacho.testing.servers import Server
from tests.servers import pytest_addoption, pytest_collection_modifyitems, pytest_configure, pytest_generate_tests

@pytest.fixture
def server(request, start_server):
    return start_server(request.param)

@pytest.fixture(scope="session")
def start_server():
    return lambda name: Server(name, "sc://nowhere", Path("/dev/null"))
"""
SPEC_CONFTEST = """
import pytest
from helpers import double

FIRST = 1

@pytest.fixture
def one(server):
    return double(FIRST)

@pytest.fixture
def other(server):
    return 7
"""
HELPERS = """
import functools
from dataclasses import dataclass

FACTOR = 2

def double(n):
    return FACTOR * n

def never_used(n):
    return n

@dataclass(frozen=True)
class Event:
    name: str
    at: tuple

class Shape:
    def side(self):
        return 3
"""
TESTS = """
import pytest
from helpers import Event, Shape, double

LIMIT = 5
CASES = [1, 2]
EVENTS = [Event("a", (1, 2)), Event("b", (3,))]
PLANS = {"small": lambda n: n, "large": lambda n: n + 10}

def within(n):
    return n < LIMIT

def test_fixture(one):
    assert one == 2

def test_helper(server):
    # a comment
    assert within(double(2))

def test_class(server):
    assert Shape().side() == 3

@pytest.mark.parametrize("n", CASES)
def test_values(server, n):
    assert n < 9

@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_events(server, event):
    assert event.at

@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_functions(server, plan):
    assert plan(1)

class TestInside:
    FLOOR = 0

    def above(self, n):
        return n > self.FLOOR

    def test_method(self, server):
        assert self.above(1)

@pytest.mark.riacho_gap("not yet")
def test_gap(server):
    assert server.name == "spark"

@pytest.mark.spark_bug("wrong there")
def test_bug(server):
    assert server.name == "riacho"
"""
ALL = {
    "test_fixture", "test_helper", "test_class", "test_values[1]", "test_values[2]", "test_functions[small]",
    "test_events[a]", "test_events[b]",
    "test_functions[large]", "TestInside::test_method", "test_gap", "test_bug",
}  # fmt: skip
FILES = {
    "conftest.py": CONFTEST,
    "helpers.py": HELPERS,
    "tests/spec/conftest.py": SPEC_CONFTEST,
    "tests/spec/test_it.py": TESTS,
}


class Project:
    """A project with a specification of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.record = pytester.path / "tests/spec/answers.txt"
        pytester.makeini(
            "[pytest]\nmarkers =\n  riacho_only\n  spark_only\n  riacho_gap(reason)\n  spark_bug(reason)\n"
        )
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.pytester.path / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, *arguments: str) -> set[str]:
        """Run pytest; the tests that ran on Spark."""
        done = self.pytester.inline_run("-p", "no:cacheprovider", *arguments)
        self.outcomes = done.listoutcomes()
        self.code = done.ret
        reports = [report for report in done.getreports("pytest_runtest_logreport") if report.when == "call"]
        names = (report.nodeid.removeprefix("tests/spec/test_it.py::") for report in reports)
        return {name.replace("[spark]", "").replace("spark-", "") for name in names if "spark" in name}

    def recorded(self) -> list[str]:
        return [line.split(" ")[0].partition("::")[2] for line in self.record.read_text().splitlines() if "::" in line]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setattr(versions, "check", lambda url: None)
    return Project(pytester)


def test_what_was_recorded_is_left_out_until_asked_for(project: Project) -> None:
    assert project.run() == ALL
    assert not project.record.exists(), "only a recording writes"

    assert project.run("--record") == ALL
    assert len(project.recorded()) == len(ALL)
    lines = project.record.read_text().splitlines()
    assert [*lines[:2], *sorted(lines[2:])] == lines

    assert project.run() == set()
    assert project.code == pytest.ExitCode.OK, "riacho's side runs as ever"
    assert project.run("--record") == set()
    assert project.code == pytest.ExitCode.OK, "nothing left to record is no failure"

    assert project.run("--spark-all") == ALL
    assert project.run("--server", "spark") == ALL


@pytest.mark.parametrize(
    ("name", "old", "new", "asked"),
    [
        ("tests/spec/test_it.py", "assert one == 2", "assert one == 1 + 1", {"test_fixture"}),
        ("tests/spec/test_it.py", "LIMIT = 5", "LIMIT = 6", {"test_helper"}),
        ("tests/spec/test_it.py", "return n < LIMIT", "return LIMIT > n", {"test_helper"}),
        ("tests/spec/test_it.py", "FLOOR = 0", "FLOOR = -1", {"TestInside::test_method"}),
        ("tests/spec/test_it.py", "return n > self", "return n >= self", {"TestInside::test_method"}),
        ("tests/spec/test_it.py", "CASES = [1, 2]", "CASES = [1, 3]", {"test_values[3]"}),
        ("tests/spec/test_it.py", 'Event("b", (3,))', 'Event("b", (4,))', {"test_events[b]"}),
        ("tests/spec/test_it.py", "n + 10", "n + 11", {"test_functions[small]", "test_functions[large]"}),
        ("tests/spec/test_it.py", '@pytest.mark.riacho_gap("not yet")\n', "", set()),
        ("tests/spec/test_it.py", '@pytest.mark.spark_bug("wrong there")\n', "", {"test_bug"}),
        ("tests/spec/conftest.py", "FIRST = 1", "FIRST = 3 - 2", {"test_fixture"}),
        ("tests/spec/conftest.py", "return 7", "return 8", set()),
        ("tests/spec/conftest.py", "def other", "def other(server):\n    return 9\n\ndef another", set()),
        ("helpers.py", "FACTOR * n", "n * FACTOR", {"test_fixture", "test_helper"}),
        ("helpers.py", "FACTOR = 2", "FACTOR = 1 + 1", {"test_fixture", "test_helper"}),
        ("helpers.py", "return 3", "return 2 + 1", {"test_class"}),
        ("helpers.py", "return n\n", "return -n\n", set()),
        ("helpers.py", "import functools", "from functools import *", set()),
    ],
)
def test_a_change_is_asked_of_spark(project: Project, name: str, old: str, new: str, asked: set[str]) -> None:
    project.run("--record")

    project.change(name, old, new)

    assert project.run() == asked


def test_fixtures_that_act_unasked_and_statements_that_bind_nothing_count(project: Project) -> None:
    project.run("--record")

    project.change(
        "tests/spec/conftest.py", "FIRST = 1", "FIRST = 1\n\n@pytest.fixture(autouse=True)\ndef always():\n    pass\n"
    )
    assert project.run() == ALL

    project.run("--record")
    project.write("helpers.py", HELPERS + "\nimport sys\nsys.setrecursionlimit(sys.getrecursionlimit())\n")
    assert project.run() == {"test_fixture", "test_helper", "test_class"}


@pytest.mark.parametrize("version", ["spark", "delta"])
def test_another_version_is_asked_everything(project: Project, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    project.run("--record")

    monkeypatch.setattr(versions, version, lambda: "99.0")

    assert project.run() == ALL


def test_another_client_or_other_settings_are_asked_everything(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("--record")

    with monkeypatch.context() as patch:
        patch.setattr(versions, "version", lambda package: "99.0")
        assert project.run() == ALL
    with monkeypatch.context() as patch:
        patch.setattr(versions, "SERVER", {"tests/servers.py": "NAMES"})
        assert project.run() == ALL
    assert project.run() == set()


def test_only_what_passed_is_recorded(project: Project) -> None:
    project.change("tests/spec/test_it.py", "assert n < 9", "assert n < 2")
    project.change("tests/spec/test_it.py", "assert Shape().side() == 3", "pytest.skip('not today')")
    project.change("tests/spec/test_it.py", 'server.name == "riacho"', "True")  # marked as a bug, and none any more

    project.run("--record")

    assert set(project.recorded()) == {
        "test_fixture[spark]", "test_helper[spark]", "test_values[spark-1]", "test_functions[spark-small]",
        "test_functions[spark-large]", "test_events[spark-a]", "test_events[spark-b]",
        "TestInside::test_method[spark]", "test_gap[spark]",
    }  # fmt: skip
    assert project.run() == {"test_values[2]", "test_bug", "test_class"}


def test_a_recording_keeps_what_it_did_not_look_at_and_drops_what_is_gone(project: Project) -> None:
    project.write("tests/spec/test_more.py", "def test_more(server):\n    pass\n")
    project.run("--record")
    assert "test_more[spark]" in project.recorded()

    project.change("tests/spec/test_it.py", "def test_class", "def test_shape")
    project.run("--record", "tests/spec/test_it.py::test_shape")
    assert {"test_class[spark]", "test_shape[spark]", "test_more[spark]"} <= set(project.recorded())

    project.run("--record", "tests/spec/test_it.py")
    assert "test_class[spark]" not in project.recorded()
    assert {"test_shape[spark]", "test_more[spark]"} <= set(project.recorded())

    (project.pytester.path / "tests/spec/test_more.py").unlink()
    project.run("--record", "-k", "test_shape")
    assert "test_more[spark]" not in project.recorded()
    assert len(project.recorded()) == len(ALL)


def test_a_merge_may_keep_the_lines_of_both_sides(project: Project) -> None:
    project.run("--record")
    ours = project.record.read_text()
    project.change("helpers.py", "return 3", "return 2 + 1")
    project.run("--record")

    project.record.write_text(ours + project.record.read_text())

    assert project.run() == set()
    project.run("--record")
    assert len(project.recorded()) == len(ALL)


def test_answers_with_spaces_in_their_names(tmp_path: Path) -> None:
    some = {("a.py::test[spark-x y]", "1" * 16), ("a.py::test[spark-x]", "2" * 16)}
    answers.write(tmp_path / "answers.txt", some)
    assert answers.read(tmp_path / "answers.txt") == some
    assert answers.read(tmp_path / "none.txt") == set()


def test_an_environment_in_the_checkout_is_not_the_projects(tmp_path: Path) -> None:
    library = tmp_path / ".venv" / "lib" / "library.py"
    library.parent.mkdir(parents=True)
    library.write_text("def function():\n    pass\n")
    (tmp_path / "own.py").write_text("def function():\n    pass\n")
    fingerprints = Fingerprints([tmp_path], "")

    assert fingerprints.source(library) is None
    assert fingerprints.source(tmp_path / "own.py") is not None
