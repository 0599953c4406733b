"""All pages of all requests, in an order and from a place that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from riacho.connectors.rest.answers import records_of
from riacho.connectors.rest.client import RestClient
from riacho.connectors.rest.cursor import Novelty, SeenRecords, digest_of
from riacho.connectors.rest.paging import Position, asked, following
from riacho.connectors.rest.requests import first_ask, key_of
from riacho.connectors.rest.settings import Binding, RestSettings
from riacho.errors import SparkGeneralError


@dataclass(frozen=True)
class Page:
    """The new records of one page, and where they are from. `at_us`: when the answer came."""

    url: str
    number: int
    at_us: int
    values: Binding
    records: list[Any]

    def to_json(self) -> list[Any]:
        return [self.url, self.number, self.at_us, self.values, self.records]

    @classmethod
    def of_json(cls, given: list[Any]) -> Page:
        return cls(*given)


@dataclass
class Opened:
    """A request of which some pages are read. `number`: how many; `last`: a digest of the records of the last one."""

    position: Position = None
    number: int = 0
    last: str = ""


@dataclass
class CrawlProgress:
    """How far a look has come: the requests that are open, those that are done, and what was seen of each.

    Requests are known by their values, so a list of values may change between two runs.
    """

    opened: dict[str, Opened] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    seen: dict[str, SeenRecords] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "opened": {key: [one.position, one.number, one.last] for key, one in self.opened.items()},
            "done": sorted(self.done),
            "seen": {key: seen.to_json() for key, seen in self.seen.items()},
        }

    @classmethod
    def of_json(cls, given: dict[str, Any]) -> CrawlProgress:
        return cls(
            {key: Opened(*one) for key, one in given["opened"].items()},
            set(given["done"]),
            {key: SeenRecords.of_json(seen) for key, seen in given["seen"].items()},
        )


class Crawl:
    """Reads pages for one look. `decimals`: keep all digits of numbers."""

    def __init__(self, settings: RestSettings, client: RestClient, bindings: list[Binding], *, decimals: bool) -> None:
        self._settings = settings
        self._client = client
        self._bindings = {key_of(binding): binding for binding in bindings}
        self._novelty = Novelty(settings)
        self._decimals = decimals
        self._remembers = settings.cursor is not None or bool(settings.key)

    def pages(self, progress: CrawlProgress, *, abreast: int = 1, most: int | None = None) -> Iterator[Page]:
        """Pages until all are read, or `most` of them; `progress` then says how far this came.

        `abreast` requests are asked at once. Raises SparkGeneralError; `progress` is of no use then.
        """
        for key in [key for key in progress.opened if key not in self._bindings]:
            del progress.opened[key]
        waiting = [key for key in self._bindings if key not in progress.done and key not in progress.opened]
        waiting.reverse()
        count = 0
        with ThreadPoolExecutor(abreast) as pool:
            while most is None or count < most:
                while waiting and len(progress.opened) < abreast:
                    progress.opened[waiting.pop()] = Opened()
                turn = list(progress.opened)[: None if most is None else most - count]
                if not turn:
                    return
                fetch = [(key, progress.opened[key], progress.seen.setdefault(key, SeenRecords())) for key in turn]
                read = pool.map(self._read, *zip(*fetch, strict=True)) if abreast > 1 else map(self._read, *zip(*fetch))  # noqa: B905
                for key, page in zip(turn, list(read), strict=True):
                    if progress.opened[key].position is None:
                        self._end(key, progress)
                    count += 1
                    yield page

    def is_finished(self, progress: CrawlProgress) -> bool:
        """Whether nothing is left to ask."""
        return not progress.opened and all(key in progress.done for key in self._bindings)

    def _end(self, key: str, progress: CrawlProgress) -> None:
        del progress.opened[key]
        progress.done.add(key)
        self._novelty.finish(progress.seen[key])
        if not self._remembers:
            del progress.seen[key]

    def _read(self, key: str, opened: Opened, seen: SeenRecords) -> Page:
        """One page of one request; `opened` and `seen` go on with it."""
        settings, binding = self._settings, self._bindings[key]
        ask = first_ask(settings, binding).with_parameters(self._novelty.parameters(seen), in_body=False)
        answer, document = self._client.fetch(asked(ask, opened.position, settings), decimals=self._decimals)
        records = [] if answer.is_empty else records_of(document, settings, ask.address())
        opened.number += 1
        self._check_moves(opened, records, ask.address())
        opened.position = (
            None
            if answer.is_empty
            else following(opened.position, opened.number, answer, document, len(records), settings)
        )
        new = self._novelty.new(records, seen)
        address = settings.redactor.text(ask.address())
        return Page(address, opened.number, answer.at_us, binding, new)

    def _check_moves(self, opened: Opened, records: list[Any], address: str) -> None:
        """Raises SparkGeneralError for a page that has the records of the one before: its number is not heeded."""
        paging = self._settings.paging
        if paging.kind not in ("page", "offset") or not any(isinstance(record, dict) for record in records):
            return
        digest = digest_of(records)
        if digest == opened.last:
            raise SparkGeneralError(
                f"Page {opened.number} of {self._settings.redactor.text(address)} has the same records as the page "
                f"before it: the interface does not seem to know the parameter {paging.parameter!r}. Set "
                "paging.parameter to the name that it has, or paging.pages = 1 if there is one page only."
            )
        opened.last = digest
