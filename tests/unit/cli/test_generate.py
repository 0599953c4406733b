"""`riacho generate telecom`: the generator's settings as options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from riacho.cli.app import app
from riacho.generate.telecom import TelecomOptions

RUNNER = CliRunner()


def generate(directory: Path, words: str) -> str:
    result = RUNNER.invoke(app, ["generate", "telecom", str(directory), "--customers", "50", *words.split()])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_files_land_with_the_rows_that_were_asked_for(tmp_path: Path) -> None:
    told = generate(tmp_path, "--batches 4 --no-wait --rows 1 2 3 4 --start 2026-01-05T12:00:00")

    files = sorted(tmp_path.glob("*/*/*.parquet"), key=lambda path: path.name[-14:])
    assert [pq.read_metadata(path).num_rows for path in files] == [1, 2, 3, 4]
    assert files[0].name == "Celular_20260105T120010_000000.parquet"
    assert told.startswith(f"✓ 4 files, 10 rows below {tmp_path} in ")


def test_a_run_goes_on_where_another_stopped(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = "--no-wait --start 2026-01-05T12:00:00Z --rows 5 5 5 5"
    generate(whole, f"{common} --batches 4")
    generate(parts, f"{common} --batches 2")
    generate(parts, f"{common} --batches 2 --first-batch 2")

    names = sorted(path.relative_to(whole) for path in whole.glob("*/*/*.parquet"))
    assert len(names) == 4
    assert all((whole / name).read_bytes() == (parts / name).read_bytes() for name in names)


def test_what_to_do_next_is_told(tmp_path: Path) -> None:
    system = tmp_path / "telecom"
    elsewhere = generate(system / "landing", "--batches 1 --no-wait").splitlines()[-1]
    (system / "spark-pipeline.yml").touch()
    within = generate(system / "landing", "--batches 1 --no-wait").splitlines()[-1]

    assert elsewhere == f"  next: riacho run systems/telecom --conf telecom.landing={system / 'landing'}"
    assert within == f"  next: riacho run {system}"


def test_damaged_files_are_told(tmp_path: Path) -> None:
    told = generate(tmp_path, "--batches 3 --no-wait --damage 1:truncated --damage 2:extra-column").splitlines()

    assert [line.split()[-1] for line in told[:2]] == ["truncated", "extra-column"]
    assert "Latencia_ms" in pq.read_schema(next(tmp_path.glob("Computador/*/*.parquet"))).names


def test_each_file_is_told_when_it_lands(tmp_path: Path) -> None:
    told = generate(tmp_path, "--batches 2 --interval 0.01 --rows 8 6 4 7").splitlines()
    assert [line.split()[:4] for line in told[:2]] == [
        ["Celular", "Conectado", "8", "rows"],
        ["Celular", "Desconectado", "6", "rows"],
    ]


@pytest.mark.parametrize("field", dataclasses.fields(TelecomOptions), ids=lambda field: str(field.name))
def test_each_setting_is_an_option(field: dataclasses.Field[object]) -> None:
    text = RUNNER.invoke(app, ["generate", "telecom", "--help"], env={"COLUMNS": "200"}).stdout
    assert f"--{field.name.removesuffix('_s').replace('_', '-')} " in text
