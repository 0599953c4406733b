"""A stand-in for CoinGecko's API on this machine, in its documented shape, for those without a key or the internet.

    python -m uvicorn, or `serve` here: GET /api/v3/ping, /api/v3/coins/list, /api/v3/coins/markets

It answers 429 with `Retry-After` beyond `Faults.limit` requests a minute, and on demand with what goes wrong in real
life: server errors, answers that are cut off, that are no JSON, or that come too late. What goes wrong depends on the
number of the request, so that a test knows. `speed` lets the market's time go faster than the clock.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .market import COINS, UNITS, Market

KEY_HEADER: Final = "x-cg-demo-api-key"
LARGEST_PAGE: Final = 250
START_LIMIT_S: Final = 20.0


@dataclass
class Faults:
    """What goes wrong. `limit`: requests a minute. `on`: what the answer to the request of that number is, from 0:
    `429`, `500`, `cut`, `html`, `empty`, `late` or `shape`. `key`: the key that requests must have.
    """

    limit: int | None = None
    on: Mapping[int, str] = field(default_factory=dict)
    late_s: float = 3.0
    key: str | None = None


class StandIn:
    """The application, and what it was asked: `requests` counts those for markets."""

    def __init__(self, market: Market, faults: Faults | None = None, speed: float = 1.0) -> None:
        self.market = market
        self.faults = faults or Faults()
        self.requests = 0
        self._speed = speed
        self._began = time.time()
        self._recent: deque[float] = deque()
        self.app = Starlette(
            routes=[
                Route("/api/v3/ping", self._ping),
                Route("/api/v3/coins/list", self._list),
                Route("/api/v3/coins/markets", self._markets),
            ]
        )

    def now_s(self) -> float:
        """The market's time, in seconds since 1970."""
        return self._began + (time.time() - self._began) * self._speed

    async def _ping(self, _: Request) -> Response:
        return JSONResponse({"gecko_says": "(V3) To the Moon!"})

    async def _list(self, _: Request) -> Response:
        return JSONResponse([{"id": coin.id, "symbol": coin.symbol, "name": coin.name} for coin in COINS])

    async def _markets(self, request: Request) -> Response:
        number, self.requests = self.requests, self.requests + 1
        refused = self._refused(request) or await self._wrong(number)
        if refused is not None:
            return refused
        given = request.query_params
        currency = given.get("vs_currency")
        if not currency:
            return JSONResponse({"error": "Missing parameter vs_currency"}, 422)
        if currency not in UNITS:
            return JSONResponse({"error": "invalid vs_currency"}, 422)
        try:
            page, size = int(given.get("page", 1)), int(given.get("per_page", 100))
        except ValueError:
            return JSONResponse({"error": "page and per_page must be numbers"}, 422)
        size = max(1, min(size, LARGEST_PAGE))
        wanted = {name for name in given.get("ids", "").split(",") if name}
        quotes = [quote for quote in self.market.quotes(self.now_s(), currency) if not wanted or quote["id"] in wanted]
        return JSONResponse(quotes[(page - 1) * size : page * size])

    def _refused(self, request: Request) -> Response | None:
        if self.faults.key is not None and request.headers.get(KEY_HEADER) != self.faults.key:
            status = {"error_code": 10002, "error_message": "API Key Missing"}
            return JSONResponse({"status": status}, 401)
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 60:
            self._recent.popleft()
        if self.faults.limit is not None and len(self._recent) >= self.faults.limit:
            return self._throttled(60 - (now - self._recent[0]))
        self._recent.append(now)
        return None

    @staticmethod
    def _throttled(wait_s: float) -> Response:
        status = {
            "error_code": 429,
            "error_message": "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to "
            "subscribe to our API plans for higher rate limits.",
        }
        return JSONResponse({"status": status}, 429, {"Retry-After": str(max(1, round(wait_s)))})

    async def _wrong(self, number: int) -> Response | None:
        match self.faults.on.get(number):
            case "429":
                return self._throttled(1)
            case "500":
                return PlainTextResponse("Internal Server Error", 500)
            case "cut":
                text = json.dumps(self.market.quotes(self.now_s()))
                return Response(text[: len(text) // 2], media_type="application/json")
            case "html":
                return Response("<html><body>Just a moment...</body></html>", media_type="text/html")
            case "empty":
                return Response("", media_type="application/json")
            case "shape":
                return JSONResponse([{"id": "bitcoin", "price": "a lot"}])
            case "late":
                await asyncio.sleep(self.faults.late_s)
                return None
            case _:
                return None


@contextmanager
def serving(standin: StandIn, port: int = 0) -> Iterator[str]:
    """Serve on loopback, in a thread; the API's address. Raises TimeoutError if it does not start."""
    server = uvicorn.Server(uvicorn.Config(standin.app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, name="coingecko", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_LIMIT_S
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise TimeoutError("the stand-in for CoinGecko did not start")
        time.sleep(0.01)
    address: Any = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://127.0.0.1:{address[1]}/api/v3"
    finally:
        server.should_exit = True
        thread.join(START_LIMIT_S)
