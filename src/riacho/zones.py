"""Time zones by Spark's names, and what the engine calls them.

Spark knows a zone by a region (`America/New_York`), by an offset (`+03:00`, `-3`, `GMT+3`, `UTC+03:00`), and by Java's
old short names (`PST`). The engine knows regions and offsets of hours and minutes. Source:
`SparkDateTimeUtils.getZoneId`, `java.time.ZoneId`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from riacho.conf import SESSION_TIME_ZONE
from riacho.errors import IllegalArgumentError, UnsupportedOperationError

TIME_ZONE: Final = SESSION_TIME_ZONE.key
DAY_US: Final = 86_400_000_000

_OFFSET: Final = re.compile(
    r"(?P<prefix>|UTC|GMT|UT)(?P<sign>[+-])(?P<h>\d{1,2})(?::?(?P<m>\d{2}))?(?::?(?P<s>\d{2}))?", re.ASCII
)
_MAX_OFFSET_S: Final = 18 * 3600
_NO_REGIONS: Final = ("posix/", "right/", "localtime", "posixrules", "Factory")
"""Files that lie among the regions and are none."""

SHORT_IDS: Final = {
    "ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo", "AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare", "CNT": "America/St_Johns", "CST": "America/Chicago", "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa", "ECT": "Europe/Paris", "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "MIT": "Pacific/Apia", "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland", "PLT": "Asia/Karachi", "PNT": "America/Phoenix", "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal", "VST": "Asia/Ho_Chi_Minh",
    "EST": "-05:00", "MST": "-07:00", "HST": "-10:00",
}  # fmt: skip
"""The names of `java.time.ZoneId.SHORT_IDS`."""


@dataclass(frozen=True)
class Zone:
    """A session's time zone: `text` as the user gave it, `engine` as the engine has it."""

    text: str
    engine: str

    @property
    def is_utc(self) -> bool:
        return self.engine == "UTC"

    @property
    def tzinfo(self) -> tzinfo:
        """The zone for Python's `datetime`. Raises ValueError if `engine` names none."""
        return tzinfo_of(self.engine)


UTC: Final = Zone("UTC", "UTC")


def session_zone(text: str) -> Zone:
    """The zone that a session is to have.

    Raises INVALID_CONF_VALUE.TIME_ZONE for a name that Java does not know, UnsupportedOperationError for an offset with
    seconds.
    """
    found = _zone(text)
    if found is None:
        raise IllegalArgumentError.of(
            "INVALID_CONF_VALUE.TIME_ZONE",
            f"The value '{text}' in the config \"{TIME_ZONE}\" is invalid. Cannot resolve the given timezone.",
            sql_state="22022",
            confName=TIME_ZONE,
            confValue=text,
        )
    if isinstance(found, ZoneInfo):
        return Zone(text, "UTC" if found.key in _OTHER_NAMES_OF_UTC else found.key)
    minutes, rest = divmod(abs(found), 60_000_000)
    if rest:
        raise UnsupportedOperationError(
            f"The time zone {text!r} has seconds, which the engine's offsets have not. Give hours and minutes."
        )
    if minutes == 0:
        return Zone(text, "UTC")
    hours = found // 3_600_000_000
    if minutes % 60 == 0 and -12 <= hours <= 14:
        return Zone(text, f"Etc/GMT{-hours:+}")  # some of the engine's functions know regions alone
    return Zone(text, f"{'-' if found < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}")


_OTHER_NAMES_OF_UTC: Final = frozenset(
    {"Etc/UTC", "Etc/UCT", "Etc/Zulu", "Etc/Universal", "UCT", "Zulu", "Universal", "Etc/GMT", "Etc/GMT0", "Etc/GMT+0",
     "Etc/GMT-0", "GMT0", "Etc/Greenwich", "Greenwich"}
)  # fmt: skip


@lru_cache(maxsize=256)
def tzinfo_of(name: str) -> tzinfo:
    """The zone of that name for Python's `datetime`. Raises ValueError for an unknown one."""
    found = _zone(name)
    if found is None:
        raise ValueError(f"unknown time zone {name!r}")
    return found if isinstance(found, ZoneInfo) else timezone(timedelta(microseconds=found))


def zone_offset_us(name: str, local_us: int) -> int | None:
    """What `name` is ahead of UTC at that local time, in microseconds, or None if Java knows no such zone.

    A local time that a clock change skips or repeats takes the offset from before the change, as Java does.
    """
    zone = _zone(name)
    if zone is None or isinstance(zone, int):
        return zone
    # `datetime` has no years outside 1 to 9999; Java goes on with the rules of the last and first known years.
    inside = min(max(local_us, -62_135_596_800_000_000 + DAY_US), 253_402_300_799_999_999 - DAY_US)
    offset = (datetime(1970, 1, 1, tzinfo=zone) + timedelta(microseconds=inside)).utcoffset()
    return None if offset is None else offset // timedelta(microseconds=1)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | int | None:
    """A region, or a fixed offset in microseconds, or None."""
    name = re.sub(r"([+-])(\d):", r"\g<1>0\2:", name, count=1)
    name = re.sub(r"([+-])(\d\d):(\d)$", r"\1\2:0\3", name)
    name = SHORT_IDS.get(name, name)
    if name in {"Z", "UTC", "GMT", "UT"}:
        return 0
    match = _OFFSET.fullmatch(name)
    if match is not None:
        seconds = int(match["h"]) * 3600 + int(match["m"] or 0) * 60 + int(match["s"] or 0)
        valid = int(match["m"] or 0) < 60 and int(match["s"] or 0) < 60 and seconds <= _MAX_OFFSET_S
        return (seconds if match["sign"] == "+" else -seconds) * 1_000_000 if valid else None
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9~/._+-]+", name) or name.startswith(_NO_REGIONS):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return None
