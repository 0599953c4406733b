"""A project folder, and how its specification is fitted to a warehouse."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from pyspark.errors import PySparkException

from riacho.cli.failures import CommandError
from riacho.cli.project import find_spec, load_spec, parse_confs, setup_statements

SPEC = """
name: shop
storage: file:///elsewhere
configuration: {a: "1", b: "2"}
libraries:
  - glob: {include: transformations/**}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spark-pipeline.yml"
    path.write_text(SPEC)
    return path


def test_the_specification_is_found_in_the_folder_or_is_the_file(spec: Path) -> None:
    assert find_spec(spec.parent) == find_spec(spec) == spec


def test_no_specification_and_two_are_refused(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match=r"no spark-pipeline.yml in"):
        find_spec(tmp_path / "empty")
    with pytest.raises(CommandError, match="there is no folder"):
        find_spec(tmp_path / "nowhere")
    spec.with_suffix(".yaml").write_text(SPEC)
    with pytest.raises(CommandError, match=r"has both spark-pipeline\.yml and spark-pipeline\.yaml"):
        find_spec(tmp_path)


def test_checkpoints_lie_in_the_warehouse_and_confs_win(spec: Path, tmp_path: Path) -> None:
    loaded = load_spec(spec, {"b": "3"}, tmp_path / "lake")

    assert loaded.storage == (tmp_path / "lake" / "_pipelines" / "shop").as_uri()
    assert loaded.configuration == {"a": "1", "b": "3"}
    assert [library.include for library in loaded.libraries] == ["transformations/**/*"]


def test_on_another_server_its_storage_is_its_own(spec: Path) -> None:
    assert load_spec(spec, {}, None).storage == "file:///elsewhere"


def test_what_spark_refuses_is_refused(spec: Path) -> None:
    spec.write_text(SPEC + "colour: blue\n")
    with pytest.raises(PySparkException, match="colour"):
        load_spec(spec, {}, None)
    spec.write_text("storage: file:///elsewhere\n")
    with pytest.raises(PySparkException, match="name"):
        load_spec(spec, {}, spec.parent)


@pytest.mark.parametrize(("text", "message"), [("name: [", "not valid YAML"), ("", "contains no specification")])
def test_what_is_no_mapping_is_refused(spec: Path, text: str, message: str) -> None:
    spec.write_text(text)
    with pytest.raises(CommandError, match=message):
        load_spec(spec, {}, None)


def test_confs_are_key_and_value() -> None:
    assert parse_confs(["a=b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}
    for wrong in ("a", "=a"):
        with pytest.raises(typer.BadParameter, match="sets nothing"):
            parse_confs([wrong])


def test_setup_is_split_into_statements(tmp_path: Path) -> None:
    assert setup_statements(tmp_path) == []
    (tmp_path / "setup.sql").write_text("-- first\nCREATE DATABASE a COMMENT 'x;y';\n\nCREATE DATABASE b\n-- last;\n")
    first, second = setup_statements(tmp_path)
    assert first.endswith("CREATE DATABASE a COMMENT 'x;y'")
    assert second.startswith("CREATE DATABASE b")
