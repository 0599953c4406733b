"""What `riacho demo access-logs` shows: an afternoon of accesses, then live ones, and a bot attack among them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from riacho.cli.ingest_child import IngestChild
from riacho.cli.terminal import counted

from .generator.accesses import AccessOptions
from .generator.send import generate

HOURS = 3.0
"""At most so much is sent. A second run sends what came since the first: the same minutes again look like an attack."""
RATE = 2.0
LIVE_S = 4
LIVE_RATE = 5.0
BURST = 24_000
"""Accesses a minute of the attack, which begins a second after the live ones."""
LIVE_LIMIT_S = 60.0


class Demo:
    """See `riacho.cli.systems.Demo`: events are posted to an ingest server of the demo's own."""

    continuous = False
    question = "SELECT * FROM gold.anomalies ORDER BY minute DESC"

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "warehouse" / "_riacho" / "ingest"
        self._mark = folder / "last-sent"
        self._url = ""
        self.confs = {"access.ingest.path": str(self._logs)}

    @contextmanager
    def services(self) -> Iterator[None]:
        self._logs.mkdir(parents=True, exist_ok=True)
        server = IngestChild("127.0.0.1:0", None, self._logs, log=self._mark.with_name("ingest.log"))
        self._url = server.url
        try:
            yield
        finally:
            server.stop()

    def history(self) -> Iterator[str]:
        now = datetime.now(UTC)
        start = now - timedelta(hours=HOURS)
        if self._mark.exists():
            last = datetime.fromisoformat(self._mark.read_text(encoding="utf-8"))
            start = max(start, min(last, now))
        minutes = int((now - start).total_seconds() // 60)
        if minutes == 0:
            yield "nothing yet: the last run was less than a minute ago"
            return
        options = AccessOptions(rate=RATE, interval_s=60.0, start=start, seed=_seed(start))
        rows = self._send(options, stretches=minutes)
        yield f"{counted(rows, 'event')} of the last {_shown(minutes)}, posted to {self._url}/ingest/accesses"

    @contextmanager
    def live(self) -> Iterator[Callable[[], Iterator[str]]]:
        sent: list[int] = []
        now = datetime.now(UTC)
        options = AccessOptions(
            rate=LIVE_RATE, interval_s=0.25, start=now, seed=_seed(now), burst=BURST, burst_after_s=1.0
        )
        thread = threading.Thread(
            target=lambda: sent.append(self._send(options, stretches=LIVE_S * 4)), name="accesses", daemon=True
        )
        thread.start()
        yield lambda: _told(sent)
        thread.join(LIVE_LIMIT_S)

    def _send(self, options: AccessOptions, *, stretches: int) -> int:
        """Send so many stretches; how many events they had."""
        assert options.start is not None
        rows, until = 0, options.start + timedelta(seconds=options.interval_s * stretches)
        for sent in generate(self._url, options):
            rows += sent.rows
            if sent.at >= until:
                break
        self._mark.write_text(until.isoformat(), encoding="utf-8")
        return rows


def _told(sent: list[int]) -> Iterator[str]:
    yield f"{counted(sum(sent), 'event')} came meanwhile; after a second, bots from New York joined in"


def _seed(start: datetime) -> int:
    """Other events in each run: an event that comes again is taken for a repetition."""
    return int(start.timestamp() * 1000)


def _shown(minutes: int) -> str:
    return f"{minutes // 60} hours" if minutes >= 120 else counted(minutes, "minute")
