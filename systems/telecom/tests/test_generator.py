"""The telecom source: what it writes, that it can be repeated, and how dirty and damaged it is."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from systems.telecom.generator.source import (
    DIRT,
    KINDS,
    SCHEMA,
    SPEEDS,
    SUBNETS,
    Damage,
    LandedFile,
    TelecomOptions,
    generate,
)

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
SYSTEM = Path(__file__).parents[1]


class HandClock:
    """A clock that moves when somebody sleeps."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return round(self.at.timestamp() * 1000)

    def monotonic_ms(self) -> float:
        return self.now_ms()

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.at += timedelta(seconds=seconds)


def written(directory: Path, **settings: Any) -> list[LandedFile]:
    options = {"batches": 8, "start": START, "wait": False, "customers": 300, **settings}
    return list(generate(directory, TelecomOptions(**options)))


def rows(files: list[LandedFile]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.concat_tables([pq.read_table(file.path) for file in files]).to_pylist()
    return found


def digests(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in directory.rglob("*")
        if file.is_file()
    }


def test_four_folders_take_turns_with_the_sizes_of_the_provider(tmp_path: Path) -> None:
    files = written(tmp_path)

    assert [(file.path.relative_to(tmp_path).as_posix(), file.rows) for file in files[:4]] == [
        ("Celular/Conectado/Celular_20260105T120010_000000.parquet", 80),
        ("Celular/Desconectado/Celular_20260105T120020_000001.parquet", 60),
        ("Computador/Conectado/Computador_20260105T120030_000002.parquet", 40),
        ("Computador/Desconectado/Computador_20260105T120040_000003.parquet", 70),
    ]
    assert [file.kind for file in files] == [*KINDS, *KINDS]
    for file in files:
        table = pq.read_table(file.path)
        assert table.schema.equals(SCHEMA)
        assert table.num_rows == file.rows
        assert set(table["Dispositivo_de_Acesso"].to_pylist()) == {file.kind.device}
        assert set(table["Status_Conexao"].to_pylist()) == {file.kind.status}


def test_events_happen_before_their_file_is_written(tmp_path: Path) -> None:
    for file in written(tmp_path, dirt=0):
        times = pq.read_table(file.path)["Hora_Conexao"].to_pylist()
        assert times == sorted(times)
        assert file.written_at - timedelta(seconds=10) <= times[0]
        assert times[-1] < file.written_at
        assert file.path.stat().st_mtime == file.written_at.timestamp()


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path / "a")
    written(tmp_path / "b")
    written(tmp_path / "c", seed=8)

    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a").keys() == digests(tmp_path / "c").keys()
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "c").values())


def test_a_later_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    written(tmp_path / "whole", batches=12)
    written(tmp_path / "parts", batches=5)
    written(tmp_path / "parts", batches=7, first_batch=5)

    assert digests(tmp_path / "parts") == digests(tmp_path / "whole")


def test_a_file_is_hidden_until_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(table: pa.Table, where: Path) -> None:
        where.write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", dies)

    with pytest.raises(OSError, match="disk full"):
        written(tmp_path, batches=1)

    assert [file.name for file in tmp_path.rglob("*.tmp")] == [".Celular_20260105T120010_000000.parquet.tmp"]
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_clean_history_closes_connections_that_are_open(tmp_path: Path) -> None:
    connected: set[tuple[str, ...]] = set()
    closed = unknown = 0
    for row in rows(written(tmp_path, batches=40, dirt=0, customers=2_000)):
        device = (row["Nome"], row["Endereco"], row["Ip"], row["Dispositivo_de_Acesso"])
        if row["Status_Conexao"] == "Conectado":
            assert device not in connected
            connected.add(device)
        elif device in connected:
            connected.remove(device)
            closed += 1
        else:
            unknown += 1
    assert closed > 1.5 * unknown
    assert len({ip for _, _, ip, _ in connected}) == len(connected) > 100


def test_clean_rows_are_of_a_server_and_a_known_speed(tmp_path: Path) -> None:
    subnets = [IPv4Network(subnet) for subnet in SUBNETS]
    for row in rows(written(tmp_path, dirt=0)):
        address = IPv4Address(row["Ip"])
        assert address.is_private
        assert sum(address in subnet for subnet in subnets) == 1
        assert row["Velocidade_de_Conexao"] in SPEEDS


def test_dirt_falls_at_the_documented_rates(tmp_path: Path) -> None:
    files = written(tmp_path, batches=4, rows=(20_000,) * 4, customers=40_000)
    dirty = rows(files)
    latest = {file.kind: file.written_at for file in files}
    kinds = {(kind.device, kind.status): kind for kind in KINDS}

    def address(text: str | None) -> IPv4Address | None:
        try:
            return IPv4Address(text or "")
        except ValueError:
            return None

    subnets = [IPv4Network(subnet) for subnet in SUBNETS]
    addresses = [address(row["Ip"]) for row in dirty]
    found = {
        "bad_address": sum(ip is None for ip in addresses),
        "stray_address": sum(ip is not None and not any(ip in net for net in subnets) for ip in addresses),
        "unknown_speed": sum(row["Velocidade_de_Conexao"] not in SPEEDS for row in dirty),
        "future": sum(
            row["Hora_Conexao"] > latest[kinds[row["Dispositivo_de_Acesso"], row["Status_Conexao"]]] for row in dirty
        ),
        "duplicate": sum(before == after for before, after in pairwise(dirty)),
    }

    assert len(dirty) == 80_000
    for dirt, share in DIRT.items():
        assert found[dirt] / len(dirty) == pytest.approx(share, rel=0.15), dirt


def test_damage_is_done_to_the_files_that_were_named(tmp_path: Path) -> None:
    damage = ((1, Damage.EXTRA_COLUMN), (2, Damage.CHANGED_TYPE), (3, Damage.TRUNCATED))
    sound, extra, changed, truncated = written(tmp_path / "damaged", batches=4, damage=damage)
    whole = written(tmp_path / "whole", batches=4)

    assert [file.damage for file in (sound, extra, changed, truncated)] == [None, *(kind for _, kind in damage)]
    assert pq.read_table(sound.path).equals(pq.read_table(whole[0].path))
    assert pq.read_table(extra.path).drop_columns("Latencia_ms").equals(pq.read_table(whole[1].path))
    text = pq.read_table(changed.path)
    assert text["Velocidade_de_Conexao"].type == pa.string()
    assert text.cast(SCHEMA).equals(pq.read_table(whole[2].path))
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(truncated.path)
    assert truncated.rows == whole[3].rows


def test_waiting_keeps_the_interval(tmp_path: Path) -> None:
    clock = HandClock(START + timedelta(seconds=12))
    options = TelecomOptions(batches=4, start=START, customers=100)

    landed = list(generate(tmp_path, options, clock=clock, sleep=clock.sleep))

    assert clock.slept == [8, 10, 10]  # the first batch was due two seconds ago
    assert landed[-1].written_at == clock.at == START + timedelta(seconds=40)


def test_without_a_start_events_are_recent(tmp_path: Path) -> None:
    clock = HandClock(START)
    at_once = TelecomOptions(batches=6, wait=False, customers=100)
    live = TelecomOptions(batches=2, customers=100)

    history = list(generate(tmp_path, at_once, clock=clock, sleep=clock.sleep))
    assert history[-1].written_at == START
    assert not clock.slept

    stream = list(generate(tmp_path, live, clock=clock, sleep=clock.sleep))
    assert [file.written_at for file in stream] == [START, START + timedelta(seconds=10)]
    assert clock.slept == [10]


def test_nothing_is_written_before_it_is_asked_for(tmp_path: Path) -> None:
    landing = generate(tmp_path, TelecomOptions(start=START, customers=100), clock=HandClock(START + timedelta(days=1)))

    assert not list(tmp_path.rglob("*"))
    next(landing)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batches": -1}, "batches is -1: it must be 0 or more"),
        ({"batches": None}, "batches is None: it must be given when the generator does not wait"),
        ({"interval_s": 0}, "interval_s is 0: it must be at least 0.001 seconds"),
        ({"start": datetime(2026, 1, 5)}, "start is .*: it must be a time with a time zone"),  # noqa: DTZ001
        ({"rows": (80, 60, 0, 70)}, r"rows is \(80, 60, 0, 70\): it must be four numbers, each 1 or more"),
        ({"customers": 0}, "customers is 0: it must be 1 or more"),
        ({"dirt": -1}, "dirt is -1: it must be between 0 and 10"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path, **settings)


def test_faker_missing_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faker", None)

    with pytest.raises(ImportError, match=r"pip install 'riacho\[generate\]'"):
        written(tmp_path)


def test_the_generators_subnets_are_the_servers(tmp_path: Path) -> None:
    lines = (SYSTEM / "data" / "servers.csv").read_text(encoding="utf-8").splitlines()

    assert [line.split(",")[2] for line in lines[1:]] == list(SUBNETS)
