"""What `riacho demo crypto` shows: two hours of quotes, then a collector that asks a stand-in for CoinGecko."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from riacho.cli.ingest_child import IngestChild
from riacho.cli.terminal import counted

from .generator.market import Market
from .generator.quotes import QuoteOptions, stretches
from .generator.standin import Faults, StandIn, serving
from .tasks.collector import Settings, extract_data
from .tasks.producer import send_to_queue

HOURS = 2.0
FEWEST_MINUTES = 5.0
"""A second run sends what would have come since the first, at least that much and at most `HOURS`."""
RATE = 25 / 20
POLLS = 6
SPEED = 30.0
"""The stand-in's market lives half a minute in each second, so that there is something new each time."""
FAULTS = {1: "429", 3: "cut"}
LIVE_LIMIT_S = 60.0


class Demo:
    """See `riacho.cli.systems.Demo`: an embedded queue stands for Kafka, a local server for CoinGecko."""

    continuous = True
    question = "SELECT * FROM gold.movers ORDER BY position"

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "warehouse" / "_riacho" / "ingest"
        self._mark = folder / "last-sent"
        self._queue, self._api = "", ""
        self._standin = StandIn(Market(), Faults(on=FAULTS), SPEED)
        self.confs = {"crypto.queue.path": str(self._logs)}

    @contextmanager
    def services(self) -> Iterator[None]:
        self._logs.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            queue = IngestChild("127.0.0.1:0", None, self._logs, log=self._mark.with_name("ingest.log"))
            stack.callback(queue.stop)
            self._queue = queue.url
            self._api = stack.enter_context(serving(self._standin))
            yield

    def history(self) -> Iterator[str]:
        now = datetime.now(UTC)
        start = now - timedelta(hours=HOURS)
        if self._mark.exists():
            last = datetime.fromisoformat(self._mark.read_text(encoding="utf-8"))
            start = max(start, min(last, now - timedelta(minutes=FEWEST_MINUTES)))
        count = int((now - start).total_seconds() * RATE)
        options = QuoteOptions(rate=RATE, count=count, interval_s=600.0, start=start, wait=False)
        rows = sum(send_to_queue(quotes, self._queue).sent for _, quotes in stretches(options, start))
        self._mark.write_text(now.isoformat(), encoding="utf-8")
        yield f"{counted(rows, 'quote')} of the last {_shown(now - start)}, sent to the queue at {self._queue}"

    @contextmanager
    def live(self) -> Iterator[Callable[[], Iterator[str]]]:
        collected: list[int] = []

        def collect() -> None:
            settings = Settings(url=self._api)
            for _ in range(POLLS):
                quotes = extract_data(settings)
                collected.append(send_to_queue(quotes, self._queue).sent)

        thread = threading.Thread(target=collect, name="collector", daemon=True)
        thread.start()
        yield lambda: self._told(collected)
        thread.join(LIVE_LIMIT_S)

    def _told(self, collected: list[int]) -> Iterator[str]:
        polls = counted(len(collected), "poll")
        yield f"{counted(sum(collected), 'quote')} collected meanwhile from {self._api}, in {polls};"
        yield "one answer was 429 (wait), one was cut off: both were asked for again"


def _shown(time: timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes // 60} hours" if minutes >= 120 else counted(minutes, "minute")
