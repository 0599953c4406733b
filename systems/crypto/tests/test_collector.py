"""The collector against a server that answers as CoinGecko documents it, and against what goes wrong in real life."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from riacho.testing.servers import running
from systems.crypto.generator.market import COINS, Market
from systems.crypto.generator.standin import Faults, StandIn, serving
from systems.crypto.tasks.collector import CollectorError, Settings, extract_data, quote_of
from systems.crypto.tests.conftest import SYSTEM

Serve = Callable[..., tuple[StandIn, Settings]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that starts a stand-in with faults; it, and settings that ask there."""
    with ExitStack() as stack:

        def start(faults: Faults | None = None, **settings: Any) -> tuple[StandIn, Settings]:
            standin = StandIn(Market(), faults)
            return standin, Settings(url=stack.enter_context(serving(standin)), **settings)

        yield start


def test_every_coin_is_there_once_with_what_the_documentation_says(serve: Serve) -> None:
    _, settings = serve()
    quotes = extract_data(settings)

    assert {quote["coin"] for quote in quotes} == {coin.id for coin in COINS}
    assert len(quotes) == len(COINS)
    assert set(quotes[0]) == {
        "coin", "symbol", "name", "currency", "price", "market_cap", "volume_24h", "last_updated"
    }  # fmt: skip
    assert quotes[0]["market_cap"] > quotes[-1]["market_cap"]


def test_pages_currency_and_coins(serve: Serve) -> None:
    standin, settings = serve(page_size=10, pages=9, currency="brl")
    quotes = extract_data(settings)
    assert (len(quotes), standin.requests) == (25, 3)
    assert {quote["currency"] for quote in quotes} == {"brl"}

    _, some = serve(coins=("bitcoin", "solana"))
    assert {quote["coin"] for quote in extract_data(some)} == {"bitcoin", "solana"}


def test_what_passes_is_asked_for_again(serve: Serve) -> None:
    standin, settings = serve(Faults(on={0: "500", 1: "cut", 2: "html", 3: "empty"}))

    assert len(extract_data(settings)) == 25
    assert standin.requests == 5


def test_429_is_waited_for_as_long_as_it_says(serve: Serve) -> None:
    standin, settings = serve(Faults(on={0: "429"}))
    began = time.monotonic()

    assert len(extract_data(settings)) == 25
    assert time.monotonic() - began >= 1
    assert standin.requests == 2


def test_an_answer_that_comes_too_late_is_asked_for_again(serve: Serve) -> None:
    standin, settings = serve(Faults(on={0: "late"}, late_s=2.0), time_out_s=0.5)

    assert len(extract_data(settings)) == 25
    assert standin.requests == 2


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (Faults(on=dict.fromkeys(range(9), "500")), r"/coins/markets answered 500: Internal Server Error"),
        (Faults(on={0: "shape"}), r"sent a coin in another shape \(KeyError: 'last_updated'\)"),
        (Faults(key="secret"), "answered 401: .*API Key Missing"),
    ],
    ids=["for good", "shape", "key"],
)
def test_what_does_not_pass_is_an_error_that_says_what_came(serve: Serve, faults: Faults, told: str) -> None:
    _, settings = serve(faults, attempts=2)
    with pytest.raises(CollectorError, match=told):
        extract_data(settings)


def test_the_key_is_sent_and_never_told(serve: Serve) -> None:
    _, settings = serve(Faults(key="s3cret"), key="s3cret")
    assert len(extract_data(settings)) == 25

    _, wrong = serve(Faults(key="another"), key="s3cret")
    with pytest.raises(CollectorError) as caught:
        extract_data(wrong)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(CollectorError, match=r"http://127.0.0.1:9 did not answer: .*refused"):
        extract_data(Settings(url="http://127.0.0.1:9", attempts=2))


@pytest.mark.parametrize("wrong", [{}, [], None, {"id": ""}, {"id": "x", "last_updated": 5}])
def test_a_record_in_another_shape_is_refused(wrong: Any) -> None:
    with pytest.raises(CollectorError, match="another shape"):
        quote_of(wrong, "usd")


def test_what_coingecko_does_not_know_is_null() -> None:
    record = {
        "id": "x", "symbol": "x", "name": "X", "current_price": None, "market_cap": 0, "total_volume": None,
        "last_updated": "2026-01-05T12:00:00.123Z",
    }  # fmt: skip

    quote = quote_of(record, "usd")
    assert (quote["price"], quote["market_cap"], quote["volume_24h"]) == (None, 0.0, None)
    assert quote["last_updated"] == "2026-01-05T12:00:00.123Z"


def test_the_stand_in_is_a_program_too(tmp_path: Path) -> None:
    command = [sys.executable, str(SYSTEM / "standin.py"), "0"]
    shows = re.compile(r"(http://\S+)/coins/markets")
    with running("the stand-in", command, {}, tmp_path / "standin.log", shows, 60) as found:
        assert len(extract_data(Settings(url=found[1]))) == 25
