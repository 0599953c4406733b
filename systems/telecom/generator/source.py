"""What an internet provider's devices write: Parquet files in `landing/{Dispositivo}/{Status}/`, one batch a file.

    landing/Celular/Conectado/Celular_20260105T120010_000000.parquet      80 rows
    landing/Celular/Desconectado/Celular_20260105T120020_000001.parquet   60
    landing/Computador/Conectado/Computador_20260105T120030_000002.parquet      40
    landing/Computador/Desconectado/Computador_20260105T120040_000003.parquet   70, and round again

A batch is one turn of one of the four. Its events happen in the `interval_s` seconds before it is written, so the time
of writing (in the file's name, in UTC, and as its modification time) is never before an event; only dirt breaks that.

**History.** A device connects when it is not connected. A disconnect batch takes up to `CLOSED_SHARE` of the devices
that are connected; what it lacks then are devices that connected before the recording began. When every device is
connected, a connect batch takes connected ones again, as a phone does that lost its network without a goodbye.

**Dirt.** `DIRT` names what goes wrong and how often; `dirt` scales it, 0 for clean data.

**Repeatable.** The same options with a `start` give the same files to the byte, whatever the machine's clock; each
batch has its own random numbers, so `first_batch` goes on exactly where a run with the same options stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from riacho.clock import Clock, SystemClock

from .people import customers

SCHEMA = pa.schema(
    [
        ("Nome", pa.string()),
        ("Endereco", pa.string()),
        ("Ip", pa.string()),
        ("Hora_Conexao", pa.timestamp("us", tz="UTC")),
        ("Dispositivo_de_Acesso", pa.string()),
        ("Velocidade_de_Conexao", pa.int32()),
        ("Status_Conexao", pa.string()),
    ]
)

# Mbit/s and how many in a hundred devices have it: most contracts are modest, a few are not.
SPEEDS = {1: 2, 5: 4, 10: 8, 15: 8, 25: 14, 35: 13, 50: 18, 100: 18, 200: 9, 400: 3, 500: 2, 1000: 1}

# A server's addresses and how many in a hundred devices are its own; `servers.csv` of the system says the rest.
SUBNETS = {
    "10.16.0.0/12": 34,
    "10.64.0.0/14": 22,
    "172.16.0.0/16": 16,
    "172.20.128.0/17": 12,
    "192.168.0.0/17": 10,
    "192.168.128.0/18": 6,
}

CLOSED_SHARE = 0.6
FUTURE_HOURS = (1, 48)
UNKNOWN_SPEEDS = (-10, 0, 7, 3000)
BAD_ADDRESSES = ("999.1.1.1", "10.16.0", "10.16.0.256", "10.16.0.1.2", "localhost", "", None)
STRAY_ADDRESS = "192.168.255.{}"  # private and well formed, in no server's subnet

IntArray = npt.NDArray[np.int64]


class Dirt(StrEnum):
    """What goes wrong in a row."""

    BAD_ADDRESS = "bad_address"
    """Not an IPv4 address, or none at all."""
    STRAY_ADDRESS = "stray_address"
    """A good address that belongs to no server."""
    UNKNOWN_SPEED = "unknown_speed"
    """A speed that nobody sells."""
    FUTURE = "future"
    """A clock hours ahead: the event happens after its file was written."""
    DUPLICATE = "duplicate"
    """The row before it, sent again."""


DIRT = {
    Dirt.BAD_ADDRESS: 0.01,
    Dirt.STRAY_ADDRESS: 0.005,
    Dirt.UNKNOWN_SPEED: 0.01,
    Dirt.FUTURE: 0.01,
    Dirt.DUPLICATE: 0.02,
}
"""The share of rows that each kind of dirt falls on, independently of the others."""


class Damage(StrEnum):
    """What goes wrong with a file."""

    EXTRA_COLUMN = "extra-column"
    """One more column, `Latencia_ms` INT."""
    CHANGED_TYPE = "changed-type"
    """`Velocidade_de_Conexao` is text (`"100"`)."""
    TRUNCATED = "truncated"
    """The file ends in the middle: nothing in it can be read."""


@dataclass(frozen=True)
class Kind:
    """One of the four sorts of batch: a device type and a status, which are also its folder."""

    device: str
    status: str

    @property
    def connects(self) -> bool:
        return self.status == "Conectado"


KINDS = (
    Kind("Celular", "Conectado"),
    Kind("Celular", "Desconectado"),
    Kind("Computador", "Conectado"),
    Kind("Computador", "Desconectado"),
)


@dataclass(frozen=True)
class TelecomOptions:
    """Every setting of the generator; the command line is made of these fields and of the help beside each type."""

    seed: Annotated[int, "Seed of the random numbers; the same seed gives the same customers and events."] = 7
    batches: Annotated[int | None, "How many batches to write; by default, until interrupted."] = None
    first_batch: Annotated[int, "Number of the first batch, to continue where a run with the same options stopped."] = 0
    interval_s: Annotated[float, "Seconds between two batches."] = 10.0
    start: Annotated[datetime | None, "The earliest time of an event; by default, events are recent."] = None
    wait: Annotated[bool, "Wait between batches as a real source would, or write them at once."] = True
    customers: Annotated[int, "Number of customers."] = 2_000
    rows: Annotated[
        tuple[int, int, int, int],
        "Rows per batch: phones connected, phones disconnected, computers connected, computers disconnected.",
    ] = (80, 60, 40, 70)
    dirt: Annotated[float, "How dirty the rows are: 0 is clean, 1 the documented shares, 2 twice those."] = 1.0
    damage: Annotated[
        tuple[tuple[int, Damage], ...],
        "Files to damage: a batch number, and extra-column, changed-type or truncated.",
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises ValueError that names the option, its value and what it may be."""
        checks: tuple[tuple[str, object, bool, str], ...] = (
            ("batches", self.batches, self.batches is None or self.batches >= 0, "0 or more"),
            ("first_batch", self.first_batch, self.first_batch >= 0, "0 or more"),
            ("interval_s", self.interval_s, self.interval_s >= 0.001, "at least 0.001 seconds"),
            ("start", self.start, self.start is None or self.start.tzinfo is not None, "a time with a time zone"),
            ("customers", self.customers, self.customers >= 1, "1 or more"),
            ("rows", self.rows, len(self.rows) == len(KINDS) and min(self.rows) >= 1, "four numbers, each 1 or more"),
            ("dirt", self.dirt, 0 <= self.dirt <= 10, "between 0 and 10"),
            ("batches", self.batches, self.batches is not None or self.wait, "given when the generator does not wait"),
        )
        for name, value, fine, allowed in checks:
            if not fine:
                raise ValueError(f"{name} is {value!r}: it must be {allowed}")


@dataclass(frozen=True)
class LandedFile:
    """A file that was written: `rows` is what went into it, readable or not."""

    path: Path
    batch: int
    kind: Kind
    rows: int
    written_at: datetime
    damage: Damage | None = None

    def __str__(self) -> str:
        """For `riacho generate`, a line for each file."""
        return f"{f'{self.kind.device} {self.kind.status}':<24} {self.rows:>6,} rows  {self.path.name}"


def generate(
    directory: Path,
    options: TelecomOptions,
    *,
    clock: Clock | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[LandedFile]:
    """Write batch after batch below `directory`, giving each file when it lies there.

    With `options.wait`, a batch that lies in the future is waited for with `sleep(seconds)`; a late one is written at
    once. Nothing happens before the first `next()`; stop asking and the generator stops.
    """
    clock = clock or SystemClock()
    source = TelecomSource(options, start=options.start or _recent_start(options, clock))
    numbers = (
        count(options.first_batch)
        if options.batches is None
        else range(options.first_batch, options.first_batch + options.batches)
    )
    for number in numbers:
        early_ms = source.written_at(number).timestamp() * 1000 - clock.now_ms()
        if options.wait and early_ms > 0:
            sleep(early_ms / 1000)
        yield source.write_batch(directory, number)


def _recent_start(options: TelecomOptions, clock: Clock) -> datetime:
    """Without waiting, a history that ends now; else a stream whose first file is due now."""
    ahead = 1 if options.wait or options.batches is None else options.batches
    now = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC)
    return now - timedelta(seconds=options.interval_s * (options.first_batch + ahead))


class TelecomSource:
    """The provider's customers and devices, and which of them are connected, batch after batch."""

    def __init__(self, options: TelecomOptions, start: datetime) -> None:
        self._options = options
        self._start = start
        self._damage = dict(options.damage)
        self._customers = customers(options.customers, options.seed)
        self._fleets = {
            device: Fleet(options.customers, np.random.default_rng([options.seed, salt]))
            for salt, device in enumerate(dict.fromkeys(kind.device for kind in KINDS))
        }
        self._next = 0

    def written_at(self, number: int) -> datetime:
        """When batch `number` is written: the end of the stretch of time it covers."""
        return self._start + timedelta(seconds=self._options.interval_s * (number + 1))

    def write_batch(self, directory: Path, number: int) -> LandedFile:
        """Write batch `number`; the ones before it that were not asked for happen unseen. Batches come in rising order.

        Raises ValueError for a batch that is past.
        """
        if number < self._next:
            raise ValueError(f"batch {number} is past: the next one is {self._next}")
        for unseen in range(self._next, number):
            self._events(unseen)
        self._next = number + 1
        kind, written_at, damage = _kind(number), self.written_at(number), self._damage.get(number)
        name = f"{kind.device}_{written_at.astimezone(UTC):%Y%m%dT%H%M%S}_{number:06d}.parquet"
        path = directory / kind.device / kind.status / name
        events = self._events(number)
        _land(path, events, damage, written_at)
        return LandedFile(path, number, kind, events.num_rows, written_at, damage)

    def _events(self, number: int) -> pa.Table:
        """The rows of a batch, in the order they happened; moves the history on."""
        kind, rows = _kind(number), self._options.rows[number % len(KINDS)]
        rng = np.random.default_rng([self._options.seed, len(KINDS), number])
        fleet = self._fleets[kind.device]
        devices = fleet.connect(rows, rng) if kind.connects else fleet.disconnect(rows, rng)
        rows = len(devices)
        span_ms = max(1, int(self._options.interval_s * 1000))
        end_ms = int(self.written_at(number).timestamp() * 1000)
        times = end_ms - span_ms + np.sort(rng.integers(0, span_ms, rows))
        people = self._customers.take(pa.array(fleet.owner[devices]))
        clean = _table(people, fleet.address[devices], times, kind, fleet.speed[devices])
        return _soil(clean, rng, self._options.dirt) if self._options.dirt else clean


class Fleet:
    """All devices of one type: whose each is, its address and speed as numbers, and whether it is connected.

    Every customer has one; one customer in twenty, a business, has some more.
    """

    def __init__(self, owners: int, rng: np.random.Generator) -> None:
        businesses = rng.integers(0, max(1, owners // 20), owners // 4)
        self.owner: IntArray = np.concatenate([np.arange(owners), businesses])
        devices = len(self.owner)
        self.speed: IntArray = rng.choice(list(SPEEDS), devices, p=_shares(SPEEDS.values()))
        networks = [IPv4Network(subnet) for subnet in SUBNETS]
        network = rng.choice(len(networks), devices, p=_shares(SUBNETS.values()))
        base = np.array([int(each.network_address) for each in networks])[network]
        hosts = np.array([each.num_addresses - 2 for each in networks])[network]
        # In a pool larger than a subnet two devices may share an address, as they do behind one router.
        self.address: IntArray = base + 1 + rng.permutation(devices) % hosts
        self.connected = np.zeros(devices, dtype=bool)

    def connect(self, wanted: int, rng: np.random.Generator) -> IntArray:
        """Connect devices, free ones first; at most as many as there are."""
        free, taken = np.flatnonzero(~self.connected), np.flatnonzero(self.connected)
        chosen = _first_then(free, len(free), taken, wanted, rng)
        self.connected[chosen] = True
        return chosen

    def disconnect(self, wanted: int, rng: np.random.Generator) -> IntArray:
        """Disconnect up to `CLOSED_SHARE` of the connected devices; the rest connected before the recording began."""
        free, taken = np.flatnonzero(~self.connected), np.flatnonzero(self.connected)
        chosen = _first_then(taken, int(len(taken) * CLOSED_SHARE), free, wanted, rng)
        self.connected[chosen] = False
        return chosen


def _first_then(first: IntArray, most: int, then: IntArray, wanted: int, rng: np.random.Generator) -> IntArray:
    """Up to `wanted` of `first` (no more than `most`), made up from `then`; mixed."""
    some = rng.choice(first, min(wanted, most), replace=False)
    others = rng.choice(then, min(wanted - len(some), len(then)), replace=False)
    return rng.permutation(np.concatenate([some, others]))


def _kind(number: int) -> Kind:
    return KINDS[number % len(KINDS)]


def _shares(weights: Any) -> npt.NDArray[np.float64]:
    array = np.array(list(weights), dtype=np.float64)
    shares: npt.NDArray[np.float64] = array / array.sum()
    return shares


def _table(people: pa.Table, address: IntArray, times_ms: IntArray, kind: Kind, speed: IntArray) -> pa.Table:
    """Rows in the form the source writes."""
    rows = len(times_ms)
    columns = [
        people["Nome"],
        people["Endereco"],
        _dotted(address),
        pa.array(times_ms * 1000).cast(SCHEMA.field("Hora_Conexao").type),
        pa.repeat(kind.device, rows),
        pa.array(speed, pa.int32()),
        pa.repeat(kind.status, rows),
    ]
    return pa.table(columns, schema=SCHEMA)


def _dotted(address: IntArray) -> pa.Array:
    """IPv4 addresses as text, from numbers."""
    octets = [pa.array((address >> shift) & 255).cast(pa.string()) for shift in (24, 16, 8, 0)]
    return pc.binary_join_element_wise(*octets, ".")


def _soil(clean: pa.Table, rng: np.random.Generator, scale: float) -> pa.Table:
    """The rows with dirt on some of them; as many as before, for a duplicate takes the place of the row after it."""
    rows = clean.num_rows
    hit = {dirt: rng.random(rows) < share * scale for dirt, share in DIRT.items()}
    bad = pa.array(BAD_ADDRESSES, pa.string()).take(pa.array(rng.integers(0, len(BAD_ADDRESSES), rows)))
    stray = pa.array([STRAY_ADDRESS.format(host) for host in rng.integers(1, 255, rows)], pa.string())
    ahead_ms = rng.integers(FUTURE_HOURS[0] * 3_600_000, FUTURE_HOURS[1] * 3_600_000, rows)
    late = pc.add(clean["Hora_Conexao"].cast(pa.int64()), pa.array(ahead_ms * 1000))
    unknown = pa.array(rng.choice(UNKNOWN_SPEEDS, rows), pa.int32())
    new_values: tuple[tuple[Dirt, str, pa.Array], ...] = (
        (Dirt.STRAY_ADDRESS, "Ip", stray),
        (Dirt.BAD_ADDRESS, "Ip", bad),
        (Dirt.UNKNOWN_SPEED, "Velocidade_de_Conexao", unknown),
        (Dirt.FUTURE, "Hora_Conexao", late.cast(SCHEMA.field("Hora_Conexao").type)),
    )
    soiled = clean
    for dirt, column, values in new_values:
        index = SCHEMA.get_field_index(column)
        soiled = soiled.set_column(index, SCHEMA.field(index), pc.if_else(pa.array(hit[dirt]), values, soiled[column]))
    again = np.arange(rows) - (hit[Dirt.DUPLICATE] & (np.arange(rows) > 0))
    return soiled.take(pa.array(again))


def _land(path: Path, events: pa.Table, damage: Damage | None, written_at: datetime) -> None:
    """Put a file in place whole: written under a hidden name, dated, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.tmp")
    pq.write_table(_reshape(events, damage), hidden)
    if damage is Damage.TRUNCATED:
        os.truncate(hidden, hidden.stat().st_size // 2)
    written_ns = round(written_at.timestamp() * 1000) * 1_000_000
    os.utime(hidden, ns=(written_ns, written_ns))
    hidden.replace(path)


def _reshape(events: pa.Table, damage: Damage | None) -> pa.Table:
    """The rows in the shape that the damage gives them."""
    match damage:
        case Damage.EXTRA_COLUMN:
            latency = np.arange(events.num_rows, dtype=np.int32) % 90 + 5
            return events.append_column("Latencia_ms", pa.array(latency))
        case Damage.CHANGED_TYPE:
            index = SCHEMA.get_field_index("Velocidade_de_Conexao")
            text = events["Velocidade_de_Conexao"].cast(pa.string())
            return events.set_column(index, "Velocidade_de_Conexao", text)
        case _:
            return events
