"""Numbers as people read them, and consoles that know whether anybody is looking."""

from __future__ import annotations

import pytest

from riacho.cli.terminal import PLAIN_WIDTH, ago, counted, duration, output, printable, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (0.044, "0.04 s"),
        (9.99, "9.99 s"),
        (12.34, "12.3 s"),
        (60, "1 min 00 s"),
        (125.9, "2 min 05 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3500, "3.4 KiB"), (120 << 20, "120 MiB"), (5 << 40, "5.0 TiB")],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (1.9, "just now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3600, "1 h ago"),
        (47 * 3600, "47 h ago"),
        (48 * 3600, "2 days ago"),
    ],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_counted() -> None:
    assert [counted(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


def test_without_a_terminal_there_are_no_colours_and_room_enough(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    console = output()
    console.print("[bold red]warning[/]")

    assert capsys.readouterr().out == "warning\n"
    assert console.width == PLAIN_WIDTH


def test_what_people_may_see_of_text_from_outside() -> None:
    assert printable("São\u00a0João\n\tx 👩\u200d👧") == "São\u00a0João\n\tx 👩\u200d👧"
    assert printable("\x1b[31m\r\x07\x9b\ud800") == r"\x1b[31m\r\x07\x9b\ud800"
