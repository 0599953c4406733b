"""The input of the benchmarks: JSON files of events, the same for both servers and for every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SCHEMA = "id BIGINT, user STRING, ts TIMESTAMP, value DOUBLE, kind STRING, country STRING, session STRING"
KINDS = np.array(["click", "view", "buy", "scroll", "leave"])
COUNTRIES = np.array(["BR", "PT", "AR", "US", "DE", "JP"])


def write_files(folder: Path, *, files: int, rows: int) -> int:
    """Write `files` files of `rows` events to `folder` unless they are there; their size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        path = folder / f"events-{number:04d}.json"
        if not path.exists():
            temporary = path.with_name(f".{path.name}")
            temporary.write_text(_lines(number, rows), encoding="utf-8")
            temporary.rename(path)
    return sum(path.stat().st_size for path in folder.glob("*.json"))


def _lines(number: int, rows: int) -> str:
    chance = np.random.default_rng(number)
    ids = np.arange(number * rows, (number + 1) * rows)
    users = chance.integers(0, 10_000, rows)
    stamps = np.datetime64("2026-01-01T00:00:00.000") + (ids * 7).astype("timedelta64[ms]")
    values = chance.random(rows) * 100
    kinds = KINDS[chance.integers(0, len(KINDS), rows)]
    countries = COUNTRIES[chance.integers(0, len(COUNTRIES), rows)]
    return "".join(
        f'{{"id":{i},"user":"user-{u}","ts":"{t}Z","value":{v:.6f},"kind":"{k}","country":"{c}","session":"{u:x}-{i:x}"}}\n'
        for i, u, t, v, k, c in zip(ids, users, stamps, values, kinds, countries, strict=True)
    )
