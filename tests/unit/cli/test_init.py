"""`riacho init`: what a new project consists of, and when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from riacho.cli.failures import CommandError
from riacho.cli.init import init
from riacho.cli.project import find_spec, load_spec, setup_statements


@pytest.mark.parametrize(
    ("name", "database"),
    [("shop", "shop"), ("Minha Loja: é", "minha_loja"), ("2026-sales", "db_2026_sales"), ("a'b\"c", "a_b_c")],
)
def test_a_project(tmp_path: Path, name: str, database: str) -> None:
    folder = tmp_path / name
    init(folder)
    spec = load_spec(find_spec(folder), {}, None)
    assert (spec.name, spec.database) == (name, database)
    assert spec.storage == (folder / "pipeline-storage").as_uri()
    (statement,) = setup_statements(folder)
    assert statement.endswith(f"\nCREATE DATABASE IF NOT EXISTS {database}")
    assert yaml.safe_load((folder / "spark-pipeline.yml").read_text())["name"] == name
    compile((folder / "transformations" / "orders.py").read_text(), "orders.py", "exec")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    with pytest.raises(CommandError, match="is there already"):
        init(tmp_path / "shop")
    with pytest.raises(CommandError, match="no name for a project"):
        init(tmp_path / "--")
    assert list((tmp_path / "shop").iterdir()) == []
