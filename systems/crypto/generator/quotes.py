"""Quotes of the market, one after the other: at once or live, to the embedded queue, Kafka or a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np

from riacho.clock import Clock, SystemClock

from ..tasks import producer
from .market import COINS, UNITS, Market, iso

DIRT: Final = ("repeated", "no price", "unreadable time")


@dataclass(frozen=True)
class QuoteOptions:
    """Every setting of the generator; the command line is made of these fields and of the help beside each type."""

    rate: Annotated[float, "Quotes a second, of all coins in turn."] = 1.25
    count: Annotated[int | None, "How many quotes to send; by default, until interrupted."] = None
    seed: Annotated[int, "Seed of the market; the same seed gives the same prices at the same times."] = 7
    interval_s: Annotated[float, "Seconds of quotes that are sent at a time."] = 1.0
    start: Annotated[datetime | None, "When it begins; by default now, or so that a history ends now."] = None
    wait: Annotated[bool, "Send quotes when they are made, or all at once."] = True
    currency: Annotated[str, "What prices are in: usd, brl or eur."] = "usd"
    dirt: Annotated[float, "Share of quotes that are wrong or sent twice."] = 0.01

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises ValueError that names the option, its value and what it may be."""
        checks: tuple[tuple[str, object, bool, str], ...] = (
            ("rate", self.rate, 0 < self.rate <= 1e6, "more than 0 and at most 1,000,000 a second"),
            ("count", self.count, self.count is None or self.count >= 0, "0 or more"),
            ("interval_s", self.interval_s, 0.01 <= self.interval_s <= 3600, "between 0.01 seconds and an hour"),
            ("start", self.start, self.start is None or self.start.tzinfo is not None, "a time with a time zone"),
            ("currency", self.currency, self.currency in UNITS, f"one of {', '.join(UNITS)}"),
            ("dirt", self.dirt, 0 <= self.dirt <= 1, "between 0 and 1"),
            ("count", self.count, self.count is not None or self.wait, "given when the generator does not wait"),
        )
        for name, value, fine, allowed in checks:
            if not fine:
                raise ValueError(f"{name} is {value!r}: it must be {allowed}")


@dataclass(frozen=True)
class Delivery:
    """Quotes that the other side has."""

    at: datetime
    rows: int
    where: str
    dead_letters: int = 0

    @property
    def damage(self) -> str | None:
        """What is to be told besides."""
        return f"{self.dead_letters} to the dead letters" if self.dead_letters else None

    def __str__(self) -> str:
        """For `riacho generate`, a line each time."""
        return f"{self.at:%H:%M:%S}  {self.rows:>6,} quotes to {self.where}"


def generate(
    target: str,
    options: QuoteOptions,
    *,
    clock: Clock | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Delivery]:
    """Send quotes to `http://HOST:PORT` (an ingest server), `kafka` (at KAFKA_BOOTSTRAP_SERVERS) or a folder.

    With `options.wait`, a stretch that is not over yet is waited for with `sleep(seconds)`. Nothing happens before the
    first `next()`; stop asking and the generator stops.
    """
    clock = clock or SystemClock()
    start = options.start or _beginning(options, clock)
    for number, quotes in stretches(options, start):
        ends = start + timedelta(seconds=options.interval_s * (number + 1))
        early_ms = ends.timestamp() * 1000 - clock.now_ms()
        if options.wait and early_ms > 0:
            sleep(early_ms / 1000)
        if quotes:
            sent = _send(target, number, quotes)
            yield Delivery(ends, sent.sent, target, sent.dead_letters)


def stretches(options: QuoteOptions, start: datetime) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Stretch after stretch of quotes with its number. A coin's turn comes round after each other coin has had one."""
    market, left, number, made = Market(options.seed), options.count, 0, 0.0
    begin_s = start.timestamp()
    unit = UNITS[options.currency]
    supply = np.array([coin.supply for coin in COINS])
    while left is None or left > 0:
        made += options.rate * options.interval_s
        due = int(made) if left is None else min(int(made), left)
        made -= int(made)
        found = []
        rng = np.random.default_rng([options.seed, 3, number])
        for turn in range(0, due, len(COINS)):
            some = min(len(COINS), due - turn)
            at = begin_s + options.interval_s * (number + (turn + np.arange(len(COINS))) / max(due, 1))
            price = market.prices(at) * unit
            wrong = rng.random(len(COINS)) < options.dirt
            kind = rng.integers(0, len(DIRT), len(COINS))
            for index in range(some):
                coin = COINS[(number * due + turn + index) % len(COINS)]
                place = COINS.index(coin)
                quote = _quote(coin, options.currency, float(price[place]), float(supply[place]), float(at[index]))
                found += _soiled(quote, DIRT[kind[index]]) if wrong[index] else [quote]
        if left is not None:
            left -= due
        yield number, found
        number += 1


def _quote(coin: Any, currency: str, price: float, supply: float, at_s: float) -> dict[str, Any]:
    return {
        "coin": coin.id,
        "symbol": coin.symbol,
        "name": coin.name,
        "currency": currency,
        "price": float(f"{price:.8g}"),
        "market_cap": float(round(price * supply)),
        "volume_24h": float(round(price * supply * (0.02 + coin.swing))),
        "last_updated": iso(at_s),
    }


def _soiled(quote: dict[str, Any], dirt: str) -> list[dict[str, Any]]:
    match dirt:
        case "repeated":
            return [quote, quote]
        case "no price":
            return [{**quote, "price": None}]
        case _:
            return [{**quote, "last_updated": "a minute ago"}]


def _send(target: str, number: int, quotes: list[dict[str, Any]]) -> producer.Sent:
    if target.startswith(("http://", "https://")):
        return producer.send_to_queue(quotes, target)
    if target == "kafka":
        return producer.send_to_kafka(quotes)
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"quotes-{number:08d}.json"
    hidden = path.with_name(f".{path.name}")
    hidden.write_text("".join(f"{json.dumps(quote)}\n" for quote in quotes), encoding="utf-8")
    hidden.replace(path)
    return producer.Sent(len(quotes))


def _beginning(options: QuoteOptions, clock: Clock) -> datetime:
    """Now; for a history so that it ends about now."""
    now = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC)
    if options.wait or options.count is None:
        return now
    return now - timedelta(seconds=options.count / options.rate)
