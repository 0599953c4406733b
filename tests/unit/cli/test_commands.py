"""The commands' words: help, versions, and what is refused before anything is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from riacho import __version__
from riacho.cli.app import app
from riacho.cli.up import is_loopback

RUNNER = CliRunner()
COMMANDS = (
    "demo",
    "up",
    "run",
    "status",
    "events",
    "quarantine",
    "sql",
    "tables",
    "topics",
    "schemas",
    "generate",
    "doctor",
)
# What takes long to load; NumPy stands for all that computes.
SLOW = ("pyspark", "pandas", "pyarrow", "numpy", "grpc", "riacho.server.connect", "riacho.server.catalog")


def test_help_lists_the_commands_with_or_without_being_asked() -> None:
    asked, unasked = RUNNER.invoke(app, ["--help"]), RUNNER.invoke(app, [])

    assert asked.exit_code == unasked.exit_code == 0
    for command in COMMANDS:
        assert f"│ {command} " in asked.stdout
    assert unasked.stdout.split() == asked.stdout.split()


@pytest.mark.parametrize(
    "command", [*COMMANDS, "quarantine replay", "generate telecom", "topics apply", "schemas register"]
)
def test_each_command_explains_itself_and_its_examples_fit_80_columns(command: str) -> None:
    narrow, wide = (
        RUNNER.invoke(app, [*command.split(), "--help"], env={"COLUMNS": columns}).stdout for columns in ("80", "200")
    )

    assert max(map(len, narrow.splitlines())) <= 80
    # An example that is broken in two cannot be pasted.
    examples = [[line.rstrip() for line in text.partition(" Examples")[2].splitlines()] for text in (narrow, wide)]
    assert len(examples[0]) > 1
    assert examples[0] == examples[1]


def test_version() -> None:
    assert RUNNER.invoke(app, ["--version"]).stdout == f"riacho {__version__}\n"


def loaded_by(use: str) -> set[str]:
    """The modules of a fresh process that does something with the group of commands."""
    code = f"import sys; from riacho.cli.app import Commands; {use}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(found.stdout.split())


def test_a_command_is_loaded_when_it_is_asked_for() -> None:
    loaded = loaded_by("Commands(name='riacho').commands['up']")
    assert "riacho.cli.up" in loaded
    assert not {f"riacho.cli.{name}" for name in COMMANDS if name != "up"} & loaded


def test_help_loads_nothing_slow() -> None:
    loaded = loaded_by("dict(Commands(name='riacho').commands)")
    assert {f"riacho.cli.{name}" for name in COMMANDS} <= loaded
    assert not loaded & set(SLOW)
    assert not [name for name in loaded if name.startswith("riacho_system_")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("pu", "error: No such command 'pu' → `riacho --help` shows how it is used"),
        ("sqll x", "error: No such command 'sqll'. Did you mean 'sql'? → `riacho --help` shows how it is used"),
        ("up --prot 1", "error: No such option: --prot (Possible options: --host, --port) → `riacho up --help` shows"),
        ("up --port 70000", "error: Invalid value for '--port' / '-p': "),
        ("up --port many", "error: Invalid value for '--port' / '-p': "),
        ("sql", "error: Invalid value for STATEMENT: give a statement, or a file with --file → "),
        ("sql ;", "error: Invalid value for STATEMENT: it contains no statement → "),
        ("sql x --format xml", "error: Invalid value for '--format': "),
        ("sql x --remote localhost:1", "error: Invalid value for '--remote': 'localhost:1' is not the address of"),
        (
            "run --full-refresh all --refresh a",
            "error: Invalid value for --refresh: cannot be combined with ",
        ),
        ("run --dry-run --refresh a", "error: Invalid value for --dry-run: cannot be combined with --refresh"),
        ("run --conf a", "error: Invalid value for --conf: 'a' sets nothing: write KEY=VALUE → "),
        ("generate telecom --batches -1", "error: Invalid value: batches is -1: it must be 0 or more → "),
        ("generate telecom --damage 3:lost", "error: Invalid value: damage is '3:lost': it must be BATCH:DAMAGE, "),
        ("generate telecom --start soon", "error: Invalid value: start is 'soon': it must be a time like 2026-01-05T"),
        (
            "generate weather",
            "error: Invalid value: there is no system weather: one of access-logs, crypto,",
        ),
    ],
)
def test_wrong_words_end_with_2_and_one_line(words: str, line: str) -> None:
    result = RUNNER.invoke(app, words.split())

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert " → " in result.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("run {folder}", "error: no spark-pipeline.yml in {folder} → "),
        ("run {folder}/nowhere", "error: there is no folder {folder}/nowhere → "),
        ("sql x --remote sc://127.0.0.1:1", "error: nothing answers at sc://127.0.0.1:1: Connection refused → "),
        ("sql x --remote sc://127.0.0.1:x", "error: sc://127.0.0.1:x is not the address of a Spark Connect server → "),
        ("demo {folder} --folder {folder}", "error: there is no system {folder} → "),
    ],
)
def test_what_cannot_be_done_ends_with_1_and_one_line(words: str, line: str, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, words.format(folder=tmp_path).split())

    assert result.exit_code == 1
    assert result.stderr.startswith(line.format(folder=tmp_path))
    assert result.stderr.count("\n") == 1


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["run", str(tmp_path), "--verbose"])

    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.splitlines()[-1].startswith("error: no spark-pipeline.yml")


@pytest.mark.parametrize(
    ("host", "safe"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("lake", False)]
)
def test_loopback(host: str, safe: bool) -> None:
    assert is_loopback(host) is safe


def test_words_that_end_too_early() -> None:
    result = RUNNER.invoke(app, ["mongo"])

    assert result.exit_code == 2
    assert result.stderr.endswith("error: a command is missing → `riacho mongo --help` shows how it is used\n")
