"""The input of the benchmarks: JSON files of events, the same for both servers and for every run.

They are as programs write them for each other: objects in objects, arrays of objects, values that are null or missing,
escapes, text beyond ASCII, and keys whose order changes from line to line.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SCHEMA = """
    id BIGINT, ts TIMESTAMP, kind STRING, value DOUBLE, session STRING, note STRING,
    user STRUCT<name: STRING, country: STRING, plan: STRING>,
    page STRUCT<url: STRING, title: STRING, referrer: STRING>,
    tags ARRAY<STRING>,
    items ARRAY<STRUCT<sku: STRING, quantity: INT, price: DECIMAL(10,2)>>
"""
KINDS = np.array(["click", "view", "buy", "scroll", "leave"])
COUNTRIES = np.array(["BR", "PT", "AR", "US", "DE", "JP"])
PLANS = ("free", "pro", None)
TITLES = ("Início", 'The "new" one', "C:\\temp\\x", "Grüße, \U0001f600", "tab\there", "日本語の題名", "plain", "a/b")
NOTES = (None, "first line\nsecond line", "", "não \u2028 sim", 'said "no"')
TAGS: tuple[list[str | None] | None, ...] = ([], ["new"], ["sale", "últimos"], ["a", None, "c"], None)


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
    stamps = np.datetime64("2026-01-01T00:00:00.000") + (ids * 7).astype("timedelta64[ms]")
    draws = chance.integers(0, 1 << 30, (rows, 4)).tolist()
    values = (chance.random(rows) * 100).round(6).tolist()
    kinds = KINDS[chance.integers(0, len(KINDS), rows)].tolist()
    countries = COUNTRIES[chance.integers(0, len(COUNTRIES), rows)].tolist()
    events = zip(ids.tolist(), stamps.astype(str).tolist(), kinds, countries, values, draws, strict=True)
    return "".join(_line(*event) for event in events)


def _line(number: int, ts: str, kind: str, country: str, value: float, draws: list[int]) -> str:
    """One event. Half of the lines are in plain ASCII, with an escape for each other character."""
    user, page, rest, order = draws
    fields = {
        "id": number,
        "ts": f"{ts}Z",
        "kind": kind,
        "value": None if rest % 50 == 0 else value,
        "session": f"s-{user % 10_000}",
        "user": _some({"name": f"user-{user % 10_000}", "country": country, "plan": PLANS[user % 3]}, order),
        "page": _page(page),
        "tags": TAGS[rest % len(TAGS)],
        "items": [_item(rest + i) for i in range(rest % 3 + 1)] if kind == "buy" else None,
        "note": NOTES[rest % len(NOTES)],
    }
    compact = (",", ":") if order % 4 else (", ", ": ")
    return json.dumps(_some(fields, order), ensure_ascii=order % 2 == 0, separators=compact) + "\n"


def _page(draw: int) -> dict[str, object] | None:
    if draw % 10 == 0:
        return None
    referrer = f"https://example.com/?q={draw % 97}" if draw % 3 else None
    return {"url": f"https://shop.example/p/{draw % 1000}", "title": TITLES[draw % len(TITLES)], "referrer": referrer}


def _item(draw: int) -> dict[str, object]:
    return {"sku": f"A-{draw % 5000}", "quantity": draw % 9 + 1, "price": draw % 100_000 / 100}


def _some(fields: dict[str, object], order: int) -> dict[str, object]:
    """The same fields in another order; every other line leaves out those that are null."""
    names = list(fields)
    turn = order % len(names)
    names = names[turn:] + names[:turn]
    return {name: fields[name] for name in names if order % 2 or fields[name] is not None}
