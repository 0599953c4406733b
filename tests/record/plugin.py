"""The part of pytest that leaves out what Spark has answered, and records what it answers now."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from tests.record import answers, versions
from tests.record.fingerprint import Fingerprints

FOLDER = Path("tests") / "spec"
"""Names in the record are relative to it; those of tests elsewhere have their whole path."""
ELSEWHERE = (Path("tests") / "connectors",)
FILE = "answers.txt"


@dataclass(eq=False)
class Recording:
    """What is on record. With `writing`, the tests that pass on Spark are put there, each at once."""

    root: Path
    writing: bool = False
    _current: dict[str, str] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)
    _complete: set[str] = field(default_factory=set)
    left_out: int = 0

    @property
    def path(self) -> Path:
        return self.root / FOLDER / FILE

    @cached_property
    def _known(self) -> set[tuple[str, str]]:
        return answers.read(self.path)

    @cached_property
    def _fingerprints(self) -> Fingerprints:
        return Fingerprints([self.root, self.root / "src"], versions.versions())

    def look_at(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Take the fingerprints of all tests that run on Spark."""
        for item in items:
            if self.concerns(item):
                assert isinstance(item, pytest.Function)
                self._current[self.name(item)] = self._fingerprints.of(item)
        # Parts of files were asked for by name, with `::`; of all others every test has been collected.
        if not any("::" in argument for argument in config.args):
            self._complete = {name.partition("::")[0] for name in self._current}
        gone = {name.partition("::")[0] for name, _ in self._known}
        self._complete |= {name for name in gone if not self._file(name).exists()}

    def concerns(self, item: pytest.Item) -> bool:
        """Whether this is a run of a test of the specification on Spark."""
        callspec = getattr(item, "callspec", None)
        on_spark = callspec is not None and callspec.params.get("server") == "spark"
        return on_spark and any(item.path.is_relative_to(self.root / folder) for folder in (FOLDER, *ELSEWHERE))

    def _file(self, name: str) -> Path:
        """The file of a test, by its name in the record without what is in it."""
        elsewhere = name.startswith(tuple(folder.as_posix() for folder in ELSEWHERE))
        return self.root / name if elsewhere else self.root / FOLDER / name

    def name(self, item: pytest.Item) -> str:
        return item.nodeid.removeprefix(f"{FOLDER.as_posix()}/")

    def has(self, item: pytest.Item) -> bool:
        """Whether Spark has answered this test as it is."""
        name = self.name(item)
        return self.concerns(item) and (name, self._current[name]) in self._known

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record a test that is over."""
        self._failed = False
        self._called = False
        done = yield
        if self.writing and self.concerns(item) and self._called and not self._failed:
            self._passed.add(self.name(item))
            self.write()
        return done

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        as_marked = hasattr(report, "wasxfail") and report.skipped
        self._failed |= not (report.passed or as_marked)
        self._called |= report.when == "call"

    def write(self) -> None:
        answers.write(self.path, answers.merged(self._known, self._current, self._passed, self._complete))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Drop what holds no longer. That nothing was left to ask is no failure."""
        if not self.writing or not self._current:
            return
        self.write()
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl
    def pytest_report_collectionfinish(self) -> list[str]:
        if not self._current:
            return []
        return [f"on Spark: {self.left_out} tests have been answered before ({FOLDER / FILE})"]
