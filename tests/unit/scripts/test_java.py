"""Which Java is taken, and what it says when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import java as finder


def java(folder: Path, version: str) -> Path:
    """A Java that can do one thing: tell its version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(("told", "major"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 1)])
def test_the_version_is_read_from_what_java_says(tmp_path: Path, told: str, major: int) -> None:
    assert finder.java_version(java(tmp_path, told)) == major


def test_a_folder_without_java_has_no_version(tmp_path: Path) -> None:
    assert finder.java_version(tmp_path) is None


def test_the_first_java_that_spark_can_use_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, good = java(tmp_path / "old", "11.0.2"), java(tmp_path / "good", "21.0.1")
    monkeypatch.setattr(finder, "java_candidates", lambda: iter([tmp_path / "none", old, good]))
    monkeypatch.setattr(finder, "install_java", lambda: pytest.fail("there is one"))
    assert finder.java_home() == good


def test_the_choice_of_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert next(finder.java_candidates()) == tmp_path


def test_without_a_package_manager_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SystemExit, match="install a Java 17 or 21"):
        finder.install_java()


def test_without_the_right_to_install_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(finder, "run", lambda *_: pytest.fail("nothing may be installed"))
    with pytest.raises(SystemExit, match="may not install it for you"):
        finder.install_java()


def test_a_command_that_fails_is_shown_with_what_it_said() -> None:
    with pytest.raises(SystemExit, match="(?s)sh -c.*failed.*no room"):
        finder.run(["sh", "-c", "echo no room; exit 3"])
