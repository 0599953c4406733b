from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.zones import Zone, session_zone


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("America/New_York", "America/New_York"),
        ("PST", "America/Los_Angeles"),
        ("EST", "Etc/GMT+5"),
        ("GMT+3", "Etc/GMT-3"),
        ("+3", "Etc/GMT-3"),
        ("-12:00", "Etc/GMT+12"),
        ("+14:00", "Etc/GMT-14"),
        ("+15:00", "+15:00"),
        ("-03:30", "-03:30"),
        ("+00:00", "UTC"),
        ("Zulu", "UTC"),
        ("Etc/GMT-3", "Etc/GMT-3"),
    ],
)
def test_the_engine_has_names_of_its_own(text: str, engine: str) -> None:
    zone = session_zone(text)
    assert zone == Zone(text, engine)
    assert zone.is_utc == (engine == "UTC")
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert noon.astimezone(zone.tzinfo).utcoffset() == noon.astimezone(Zone(text, text).tzinfo).utcoffset()


@pytest.mark.parametrize("text", ["", "Foo/Bar", "UTC0", "+19:00", "right/UTC", "posixrules", "../etc/passwd"])
def test_what_java_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(IllegalArgumentError, match=r"INVALID_CONF_VALUE.TIME_ZONE"):
        session_zone(text)


def test_an_offset_with_seconds_is_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="has seconds"):
        session_zone("+03:00:15")
    assert Zone("-03:30", "-03:30").tzinfo.utcoffset(None) == -timedelta(hours=3, minutes=30)
