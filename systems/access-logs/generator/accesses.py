"""What happens on the platform: accesses second by second, the same ones for the same options.

Each stretch of time draws from a generator of its own, seeded by its number, so a run can begin anywhere. Nothing here
waits, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DEVICES: Final = ("TV", "smartphone", "desktop", "tablet", "console")
DEVICE_WEIGHTS: Final = (30, 34, 18, 12, 6)
CONTENT_TYPES: Final = ("movie", "series", "documentary")
HOURS: Final = (
    0.70, 0.45, 0.30, 0.20, 0.15, 0.15, 0.25, 0.40, 0.55, 0.65, 0.75, 0.85,
    1.10, 1.15, 1.00, 0.95, 1.00, 1.15, 1.45, 1.85, 2.35, 2.60, 2.25, 1.40,
)  # fmt: skip
"""How busy each hour of the day (UTC) is, beside the average of all: nights are quiet, evenings are not."""
CITIES: Final = (
    ("Brazil", "São Paulo", 24), ("Brazil", "Rio de Janeiro", 14), ("Brazil", "Recife", 7), ("Brazil", "Curitiba", 6),
    ("Portugal", "Lisboa", 8), ("Portugal", "Porto", 5), ("Argentina", "Buenos Aires", 9), ("Argentina", "Córdoba", 3),
    ("Mexico", "Ciudad de México", 10), ("Mexico", "Monterrey", 4), ("United States", "Miami", 6),
    ("United States", "New York", 4),
)  # fmt: skip
TASTES: Final = {
    "Brazil": (0.34, 0.56, 0.10),
    "Portugal": (0.52, 0.36, 0.12),
    "Argentina": (0.38, 0.44, 0.18),
    "Mexico": (0.40, 0.50, 0.10),
    "United States": (0.30, 0.34, 0.36),
}
"""What is watched in each country: films, series, documentaries."""
BOTS: Final = 8
"""How many users a burst comes from."""
BOT_CITY: Final = 10
LONGEST_DELAY_S: Final = 90.0
"""No event is sent later than that: well within the two minutes of lateness that the pipeline allows."""


class Dirt(StrEnum):
    """What can be wrong with an event."""

    REPEATED = "repeated"
    UNKNOWN_DEVICE = "unknown device"
    UNKNOWN_CONTENT = "unknown content type"
    NO_USER = "no user"
    NO_TIME = "unreadable time"
    FUTURE = "in the future"


SHARES: Final = {
    Dirt.REPEATED: 0.004,
    Dirt.UNKNOWN_DEVICE: 0.001,
    Dirt.UNKNOWN_CONTENT: 0.001,
    Dirt.NO_USER: 0.001,
    Dirt.NO_TIME: 0.0005,
    Dirt.FUTURE: 0.0005,
}
"""The documented share of each."""


@dataclass(frozen=True)
class AccessOptions:
    """Every setting of the generator; the command line is made of these fields and of the help beside each type."""

    rate: Annotated[float, "Accesses a second, on the average of a day; evenings have more, nights fewer."] = 1.0
    count: Annotated[int | None, "How many events to send; by default, until interrupted."] = None
    seed: Annotated[int, "Seed of the random numbers; the same seed gives the same users and events."] = 7
    interval_s: Annotated[float, "Seconds of accesses that are sent at a time."] = 1.0
    start: Annotated[datetime | None, "When it begins; by default now, or so that a history ends now."] = None
    wait: Annotated[bool, "Send events when they happen, or all at once."] = True
    users: Annotated[int, "Number of users."] = 5_000
    burst: Annotated[int, "Play a bot attack: so many more accesses a minute, from a few users."] = 0
    burst_after_s: Annotated[float, "Seconds from the beginning to the attack."] = 60.0
    burst_minutes: Annotated[float, "How long it lasts."] = 2.0
    dirt: Annotated[float, "How dirty the events are: 0 is clean, 1 the documented shares, 2 twice those."] = 1.0
    evenly: Annotated[bool, "The same rate at every hour, instead of following the hours of the day."] = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises ValueError that names the option, its value and what it may be."""
        checks: tuple[tuple[str, object, bool, str], ...] = (
            ("rate", self.rate, 0 <= self.rate <= 1e6, "between 0 and 1,000,000 a second"),
            ("count", self.count, self.count is None or self.count >= 0, "0 or more"),
            ("interval_s", self.interval_s, 0.01 <= self.interval_s <= 3600, "between 0.01 seconds and an hour"),
            ("start", self.start, self.start is None or self.start.tzinfo is not None, "a time with a time zone"),
            ("users", self.users, self.users >= 1, "1 or more"),
            ("burst", self.burst, self.burst >= 0, "0 or more"),
            ("burst_after_s", self.burst_after_s, self.burst_after_s >= 0, "0 or more"),
            ("burst_minutes", self.burst_minutes, self.burst_minutes > 0, "more than 0"),
            ("dirt", self.dirt, 0 <= self.dirt <= 10, "between 0 and 10"),
            ("count", self.count, self.count is not None or self.wait, "given when the generator does not wait"),
            ("rate", self.rate, self.rate > 0 or self.burst > 0 or self.wait, "more than 0 for a history"),
        )
        for name, value, fine, allowed in checks:
            if not fine:
                raise ValueError(f"{name} is {value!r}: it must be {allowed}")


class Platform:
    """The users, where they live and what they watch; gives the events of one stretch of time after the other."""

    def __init__(self, options: AccessOptions, start: datetime) -> None:
        self._options = options
        self.start = start.astimezone(UTC)
        rng = np.random.default_rng([options.seed, 0])
        self._ids = _uuids(rng, options.users)
        self._city: Ints = rng.choice(len(CITIES), options.users, p=_shares([weight for _, _, weight in CITIES]))
        # Every user has all devices in an order of preference; in most, the popular ones stand in front.
        self._devices: Ints = np.argsort(rng.exponential(1 / np.array(DEVICE_WEIGHTS), (options.users, 5)), axis=1)
        popularity = 1.0 / np.sqrt(np.arange(1, options.users + 1))
        self._heaviness = popularity / popularity.sum()

    def begins(self, number: int) -> datetime:
        """When stretch `number` begins."""
        return self.start + timedelta(seconds=number * self._options.interval_s)

    def stretch(self, number: int) -> pa.Table:
        """The events that are sent in that stretch, in the order in which they are sent. Columns: see `SCHEMA`."""
        rng = np.random.default_rng([self._options.seed, 1, number])
        begins = self.begins(number)
        expected = self._options.rate * self._options.interval_s * (1.0 if self._options.evenly else busy(begins))
        normal = self._normal(int(rng.poisson(expected)), begins, rng)
        attack = self._attack(number, begins, rng)
        sent = pa.concat_tables([normal, attack]) if attack.num_rows else normal
        if attack.num_rows:
            sent = sent.take(pa.array(rng.permutation(sent.num_rows)))
        return _soiled(sent, begins, rng, self._options.dirt) if self._options.dirt else sent

    def _normal(self, rows: int, begins: datetime, rng: np.random.Generator) -> pa.Table:
        users = rng.choice(self._options.users, rows, p=self._heaviness)
        city = self._city[users]
        # Half of the time a user takes the favourite device, else the next, and so on.
        nth = np.minimum(rng.geometric(0.55, rows) - 1, len(DEVICES) - 1)
        device = self._devices[users, nth]
        tastes = np.cumsum([TASTES[country] for country, _, _ in CITIES], axis=1)[city]
        content = (rng.random((rows, 1)) > tastes[:, :-1]).sum(axis=1)
        # Events are sent a little after they happened, a few of them much later.
        delay = np.minimum(rng.exponential(1.5, rows), LONGEST_DELAY_S)
        slow = rng.random(rows) < 0.01
        delay[slow] = rng.uniform(10, LONGEST_DELAY_S, int(slow.sum()))
        moments = np.sort(rng.uniform(0, self._options.interval_s, rows))
        return _table(_uuids(rng, rows), self._ids.take(pa.array(users)), _times(begins, moments - delay), device,
                      content, city)  # fmt: skip

    def _attack(self, number: int, begins: datetime, rng: np.random.Generator) -> pa.Table:
        """What the bots add: as many a minute as was asked for, at an even pace."""
        options = self._options
        starts, ends = options.burst_after_s, options.burst_after_s + options.burst_minutes * 60
        low = max(number * options.interval_s, starts)
        high = min((number + 1) * options.interval_s, ends)
        pace = options.burst / 60
        first, last = round((low - starts) * pace), round((max(high, low) - starts) * pace)
        rows = max(0, last - first)
        users = self._ids.take(pa.array((first + np.arange(rows)) % min(BOTS, options.users)))
        moments = np.linspace(low, max(high, low), rows, endpoint=False) - number * options.interval_s
        device = np.full(rows, DEVICES.index("desktop"))
        return _table(_uuids(rng, rows), users, _times(begins, moments), device, np.zeros(rows, np.int64),
                      np.full(rows, BOT_CITY))  # fmt: skip


def busy(moment: datetime) -> float:
    """How busy it is beside the average of a day; it changes from one hour to the next without a jump."""
    here = moment.minute / 60 + moment.second / 3600
    return (HOURS[moment.hour] * (1 - here) + HOURS[(moment.hour + 1) % 24] * here) / (sum(HOURS) / 24)


def events(platform: Platform, options: AccessOptions) -> Iterator[tuple[int, pa.Table]]:
    """Stretch after stretch with its number, until `options.count` events have been given."""
    left, number = options.count, 0
    while left is None or left > 0:
        table = platform.stretch(number)
        if left is not None:
            table = table.slice(0, left)
            left -= table.num_rows
        yield number, table
        number += 1


def documents(table: pa.Table) -> list[dict[str, Any]]:
    """Events in their documented shape."""
    return [
        {
            "_id": row["_id"],
            "id": row["id"],
            "access_timestamp": row["access_timestamp"],
            "device": row["device"],
            "content_type": row["content_type"],
            "location": {"country": row["country"], "city": row["city"]},
        }
        for row in table.to_pylist()
    ]


SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("_id", "id", "access_timestamp", "device", "content_type", "country", "city")]
)


def _table(ids: pa.Array, users: pa.Array, times: pa.Array, device: Ints, content: Ints, city: Ints) -> pa.Table:
    columns = [
        ids,
        users,
        times,
        pa.array(DEVICES).take(pa.array(device)),
        pa.array(CONTENT_TYPES).take(pa.array(content)),
        pa.array([country for country, _, _ in CITIES]).take(pa.array(city)),
        pa.array([name for _, name, _ in CITIES]).take(pa.array(city)),
    ]
    return pa.table(columns, schema=SCHEMA)


def _times(begins: datetime, seconds: Floats) -> pa.Array:
    """Moments after `begins` as ISO 8601 in UTC, to the millisecond."""
    first_ms = round(begins.timestamp() * 1000)
    stamps = (first_ms + np.floor(seconds * 1000).astype(np.int64)).astype("datetime64[ms]")
    return pa.array([f"{text}Z" for text in np.datetime_as_string(stamps, unit="ms").tolist()], pa.string())


def _uuids(rng: np.random.Generator, rows: int) -> pa.Array:
    """Random UUIDs of version 4."""
    octets = rng.integers(0, 256, (rows, 16), dtype=np.uint8)
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    digits = octets.tobytes().hex()
    ids = (digits[at : at + 32] for at in range(0, len(digits), 32))
    return pa.array([f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in ids], pa.string())


def _shares(weights: Sequence[float]) -> Floats:
    array = np.array(weights, dtype=np.float64)
    shares: Floats = array / array.sum()
    return shares


def _soiled(clean: pa.Table, begins: datetime, rng: np.random.Generator, scale: float) -> pa.Table:
    """The events with dirt on some of them; those that are sent twice come a second time right behind."""
    rows = clean.num_rows
    hit = {dirt: rng.random(rows) < share * scale for dirt, share in SHARES.items()}
    ahead = rng.uniform(3_600, 86_400, rows)
    new_values: tuple[tuple[Dirt, str, pa.Scalar | pa.Array], ...] = (
        (Dirt.UNKNOWN_DEVICE, "device", pa.scalar("refrigerator")),
        (Dirt.UNKNOWN_CONTENT, "content_type", pa.scalar("clip")),
        (Dirt.NO_USER, "id", pa.scalar(None, pa.string())),
        (Dirt.NO_TIME, "access_timestamp", pa.scalar("yesterday")),
        (Dirt.FUTURE, "access_timestamp", _times(begins, ahead)),
    )
    soiled = clean
    for dirt, column, value in new_values:
        if hit[dirt].any():
            index = SCHEMA.get_field_index(column)
            values = pc.if_else(pa.array(hit[dirt]), value, soiled[column])
            soiled = soiled.set_column(index, SCHEMA.field(index), values)
    if hit[Dirt.REPEATED].any():
        soiled = soiled.take(pa.array(np.repeat(np.arange(rows), 1 + hit[Dirt.REPEATED])))
    return soiled
