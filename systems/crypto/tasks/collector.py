"""`extract_data`: the market as CoinGecko's API tells it, page by page, as records of our own.

A plain function, for a schedule or an Airflow task. It waits when it is told to (429, `Retry-After`), asks again when
something passing went wrong, with longer and longer pauses, and gives up with an error that says what the answer was.
The stream in `transformations/bronze.py` reads the same API by `format("rest")`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

_log = logging.getLogger(__name__)

PUBLIC: Final = "https://api.coingecko.com/api/v3"
KEY_HEADER: Final = "x-cg-demo-api-key"
PAGE_SIZE: Final = 250
LONGEST_WAIT_S: Final = 120.0
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class CollectorError(RuntimeError):
    """CoinGecko did not answer as its documentation says. The message has the address, the status and what came."""


class _PassingError(CollectorError):
    """It may work later. `wait_s`: how long the answer asks to wait."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Settings:
    """Where and how to ask. `attempts`: for each page. `coins`: ids, or none for the largest `pages` pages."""

    url: str = PUBLIC
    key: str | None = None
    currency: str = "usd"
    coins: Sequence[str] = ()
    pages: int = 1
    page_size: int = PAGE_SIZE
    attempts: int = 6
    time_out_s: float = 20.0

    @classmethod
    def of_environment(cls) -> Settings:
        """COINGECKO_URL, COINGECKO_KEY, CRYPTO_CURRENCY, CRYPTO_COINS (with commas) and CRYPTO_PAGES."""
        env = os.environ
        return cls(
            url=env.get("COINGECKO_URL") or PUBLIC,
            key=env.get("COINGECKO_KEY") or None,
            currency=env.get("CRYPTO_CURRENCY") or "usd",
            coins=tuple(coin.strip() for coin in env.get("CRYPTO_COINS", "").split(",") if coin.strip()),
            pages=int(env.get("CRYPTO_PAGES") or 1),
        )


def extract_data(settings: Settings | None = None) -> list[dict[str, Any]]:
    """Quotes of the market now, one for each coin. Raises CollectorError."""
    settings = settings or Settings.of_environment()
    headers = {KEY_HEADER: settings.key} if settings.key else {}
    with httpx.Client(headers=headers, timeout=settings.time_out_s) as client:
        return list(_quotes(client, settings))


def _quotes(client: httpx.Client, settings: Settings) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for page in range(1, settings.pages + 1):
        records = _page(client, settings, page)
        for record in records:
            quote = quote_of(record, settings.currency)
            if quote["coin"] not in seen:  # coins change places between two pages
                seen.add(quote["coin"])
                yield quote
        if len(records) < settings.page_size:
            return


def _page(client: httpx.Client, settings: Settings, page: int) -> list[Any]:
    parameters: dict[str, str | int] = {
        "vs_currency": settings.currency,
        "order": "market_cap_desc",
        "per_page": settings.page_size,
        "page": page,
    }
    if settings.coins:
        parameters["ids"] = ",".join(settings.coins)
    usual = wait_random_exponential(multiplier=0.5, max=30)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_s if isinstance(error, _PassingError) else 0.0
        return min(max(asked, usual(state)), LONGEST_WAIT_S)

    for attempt in Retrying(
        retry=retry_if_exception_type((_PassingError, httpx.TransportError)),
        stop=stop_after_attempt(settings.attempts),
        wait=wait,
        before_sleep=_told,
        reraise=True,
    ):
        with attempt:
            try:
                return _answer(client.get(f"{settings.url.rstrip('/')}/coins/markets", params=parameters))
            except httpx.TransportError as error:
                if attempt.retry_state.attempt_number >= settings.attempts:
                    told = str(error) or type(error).__name__
                    raise CollectorError(f"{settings.url} did not answer: {told}") from error
                raise
    raise AssertionError("tenacity gives up by an error")


def _told(state: RetryCallState) -> None:
    """Log that a page is asked for again, and why."""
    error = state.outcome.exception() if state.outcome else None
    wait_s = state.next_action.sleep if state.next_action else 0.0
    _log.info("asking again in %.1f s (attempt %d): %s", wait_s, state.attempt_number + 1, error)


def _answer(reply: httpx.Response) -> list[Any]:
    """The records of an answer. Raises CollectorError, _PassingError."""
    where = f"{reply.request.url.copy_with(query=None)} answered {reply.status_code}"
    start = reply.text[:200]
    if reply.status_code in _PASSING:
        raise _PassingError(f"{where}: {start}", _asked_wait(reply))
    if reply.status_code != 200:
        raise CollectorError(f"{where}: {start}")
    try:
        found = reply.json()
    except ValueError:
        raise _PassingError(f"{where} with something that is no JSON: {start}") from None
    if not isinstance(found, list):
        raise CollectorError(f"{where}, not with a list of coins: {start}")
    return found


def _asked_wait(reply: httpx.Response) -> float:
    """Seconds of `Retry-After`; its other form, a date, is not sent by CoinGecko."""
    try:
        return max(0.0, float(reply.headers.get("Retry-After", "")))
    except ValueError:
        return 0.0


def quote_of(record: Any, currency: str) -> dict[str, Any]:
    """A record of `/coins/markets` as a quote of ours. Raises CollectorError for one in another shape."""
    try:
        updated = datetime.fromisoformat(record["last_updated"])
        return {
            "coin": _text(record, "id"),
            "symbol": _text(record, "symbol"),
            "name": _text(record, "name"),
            "currency": currency,
            "price": _number(record, "current_price"),
            "market_cap": _number(record, "market_cap"),
            "volume_24h": _number(record, "total_volume"),
            "last_updated": updated.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
    except (KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        raise CollectorError(f"CoinGecko sent a coin in another shape ({told}): {str(record)[:200]}") from error


def _text(record: Any, field: str) -> str:
    value = record[field]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{field} is {value!r}")
    return value


def _number(record: Any, field: str) -> float | None:
    """A number; None where CoinGecko does not know it."""
    value = record[field]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{field} is {value!r}")
    return float(value)
