"""Numbers with a unit, as options and confs have them: `30s`, `2 min`, `512m`, `10GB`.

Source: `org.apache.spark.network.util.JavaUtils`.
"""

from __future__ import annotations

_TIME_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_SIZES = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def time_ms(text: str, default_unit: str = "ms") -> int | None:
    """Milliseconds of a time; a bare number counts `default_unit`s. None if it is no time."""
    number, unit = _split(text)
    if not number or (unit or default_unit) not in _TIME_US:
        return None
    return int(number) * _TIME_US[unit or default_unit] // 1000


_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400}


def per_second(text: str) -> float | None:
    """How many a second, of `10/s`, `30/m`, `1000/hour` or a bare number; None if it is none, or not more than 0."""
    number, slash, unit = (part.strip().lower() for part in text.partition("/"))
    seconds = _SECONDS.get(unit.removesuffix("s") or unit) if slash else 1
    try:
        count = float(number)
    except ValueError:
        return None
    return count / seconds if seconds is not None and 0 < count < float("inf") else None


def byte_size(text: str) -> int | None:
    """Bytes of a size; a bare number counts bytes. None if it is no size."""
    number, unit = _split(text)
    letter = unit.removesuffix("b").removesuffix("i" if len(unit) == 3 else "")
    return int(number) << _SIZES[letter] if number and letter in _SIZES else None


def _split(text: str) -> tuple[str, str]:
    """The digits and the unit in lower case; no digits if there is anything else."""
    shown = text.strip().lower()
    unit = shown.lstrip("0123456789")
    number = shown[: len(shown) - len(unit)]
    return number, unit.strip()
