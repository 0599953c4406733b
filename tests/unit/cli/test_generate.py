"""`riacho generate telecom`: the generator's settings as options."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from riacho.cli import systems
from riacho.cli.app import app
from riacho.cli.failures import CommandError

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


@pytest.mark.parametrize(
    "field",
    dataclasses.fields(systems.load_generator(systems.find("telecom")).Options),
    ids=lambda field: str(field.name),
)
def test_each_setting_is_an_option(field: dataclasses.Field[object]) -> None:
    text = RUNNER.invoke(app, ["generate", "telecom", "--help"], env={"COLUMNS": "200"}).stdout
    assert f"--{field.name.removesuffix('_s').replace('_', '-')} " in text


def test_a_system_is_found_by_its_folder_too(tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    shutil.copytree(systems.find("telecom"), copy)
    told = RUNNER.invoke(app, ["generate", str(copy), str(tmp_path / "x"), "--batches", "1", "--no-wait"]).stdout

    assert told.startswith("✓ 1 file, 80 rows ")
    assert told.splitlines()[-1] == f"  next: riacho run {copy} --conf telecom.landing={tmp_path / 'x'}"


def test_a_system_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no system weather") as caught:
        systems.find("weather")
    assert "telecom" in caught.value.hint
    (tmp_path / "spark-pipeline.yml").touch()
    with pytest.raises(CommandError, match="has no demo"):
        systems.load_demo(tmp_path, tmp_path)
