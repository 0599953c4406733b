"""What `riacho doctor` finds, and the way out it gives."""

from __future__ import annotations

import importlib.metadata
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from riacho.cli import checks
from riacho.cli.app import app
from riacho.cli.checks import Health, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(0, tmp_path / "lake")


def test_this_environment_is_well(place: Place) -> None:
    for check in (checks.python, checks.packages, checks.port, checks.warehouse, checks.java):
        finding = check(place)
        assert (finding.health, finding.way_out) == (Health.OK, ""), finding
    assert not place.warehouse.exists()


def test_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = checks.port(Place(taken.getsockname()[1], Path()))
    assert finding.health is Health.WARN
    assert "riacho up --port 0" in finding.way_out


def test_a_warehouse_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = checks.warehouse(Place(0, tmp_path / "file" / "lake"))
    assert finding.health is Health.FAIL
    assert finding.detail == f"{tmp_path / 'file'} cannot be written to"


def test_missing_and_other_packages(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda _: ["rich>=14", "gone==1; extra == 'dev'", "pysail==0.1"]
    )
    assert checks.packages(place).health is Health.WARN
    assert "made for 0.1" in checks.packages(place).detail

    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["rich>=14", "no-such-package>=2"])
    finding = checks.packages(place)
    assert (finding.health, finding.way_out) == (Health.FAIL, "pip install no-such-package")


def test_another_spark_in_the_environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    finding = checks.client(place)
    assert finding.health is Health.WARN
    assert "/opt/spark" in finding.detail


def test_little_shared_memory_and_none(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(checks, "ROOMY_SHARED_MEMORY", 1 << 60)
    assert "--shm-size" in checks.shared_memory(place).way_out
    monkeypatch.setattr(checks, "SHARED_MEMORY", tmp_path / "none")
    assert checks.shared_memory(place).health is Health.WARN


def test_without_faker_there_is_nothing_to_generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faker", None)
    result = CliRunner().invoke(app, ["generate", "telecom", str(tmp_path), "--batches", "1", "--no-wait"])

    assert result.exit_code == 1
    assert result.stderr == "error: generating data needs Faker: pip install 'riacho[generate]'\n"
