"""Settings of a profile, and what definitions see of the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from riacho.cli.failures import CommandError
from riacho.cli.profiles import load_environment, profile


def write(project: Path, text: str) -> None:
    (project / "profiles").mkdir(exist_ok=True)
    (project / "profiles" / "services.yml").write_text(text)


def test_a_profile_is_the_configuration_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, "configuration:\n  access.source: mongodb\n  spark.sql.shuffle.partitions: '4'\n")

    assert profile(tmp_path, "services") == {"access.source": "mongodb", "spark.sql.shuffle.partitions": "4"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("configuration:\n  a: 4\n", "a in .*services.yml must be text"),
        ("configuration: [a]\n", "must be a mapping"),
        ("settings: {}\n", "'settings', which means nothing here"),
        ("configuration: {\n", "is not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, text)
    with pytest.raises(CommandError, match=told):
        profile(tmp_path, "services")


def test_a_profile_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, "")
    with pytest.raises(CommandError, match="has no profile production") as caught:
        profile(tmp_path, "production")
    assert caught.value.hint == "there are services"


def test_what_is_set_counts_more_than_the_project_and_that_more_than_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, project = tmp_path / "here", tmp_path / "project"
    for folder, text in ((here, "A=here\nB=here\nC=here\n"), (project, "A=project\nB=project\n")):
        folder.mkdir()
        (folder / ".env").write_text(text)
    monkeypatch.chdir(here)
    monkeypatch.setattr(os, "environ", {**os.environ, "A": "set"})
    monkeypatch.delenv("B", raising=False)
    monkeypatch.delenv("C", raising=False)
    load_environment(project)

    assert [os.environ[name] for name in "ABC"] == ["set", "project", "here"]
