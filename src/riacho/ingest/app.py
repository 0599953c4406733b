"""The HTTP interface: `POST /ingest/NAME`, `GET /ingest/NAME`, `GET /healthz`."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from riacho.clock import Clock, SystemClock
from riacho.connectors.ingest.writer import Appended, LogFullError, OtherRequestError
from riacho.errors import IllegalStateError, SparkError
from riacho.extras import require
from riacho.ingest.bodies import BodyError
from riacho.ingest.config import EndpointConfig, IngestConfig
from riacho.ingest.endpoint import ServedEndpoint

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_log = logging.getLogger(__name__)

BODY_LIMIT_S: Final = 30.0
"""How long a body may take to arrive."""
WRITE_LIMIT_S: Final = 30.0
"""How long a client waits for the disk."""
INLINE_BYTES: Final = 64 << 10
"""Smaller bodies are parsed where they are received; larger ones would keep others waiting."""
UNDECLARED: Final = 200
"""How many endpoints clients may add to an open server; each has a thread and open files."""
CLEANING_S: Final = 30.0
WHAT: Final = "The ingest server"


class IngestServer:
    """The endpoints of a server over a folder. `app` is an ASGI application; it closes the logs when it ends.

    `hook` is told of each step of a commit. Raises AnalysisError if the extra is not installed.
    """

    def __init__(
        self,
        folder: Path,
        config: IngestConfig,
        *,
        clock: Clock | None = None,
        hook: Callable[[str], None] = lambda _: None,
    ) -> None:
        require("starlette", "ingest", WHAT)
        self._folder = folder
        self._config = config
        self._clock = clock or SystemClock()
        self._hook = hook
        self._endpoints: dict[str, ServedEndpoint] = {}
        self._opening = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name in config.endpoints:
                self._opened(config.endpoints[name])
        except BaseException:
            self.close()
            raise
        self.app = self._made()

    def close(self) -> None:
        """Write what waits, and let go of the logs. Idempotent."""
        for endpoint in self._endpoints.values():
            endpoint.close()

    def _made(self) -> Starlette:
        from starlette.applications import Starlette
        from starlette.routing import Route

        return Starlette(
            routes=[
                Route("/ingest/{name}", self._post, methods=["POST"]),
                Route("/ingest/{name}", self._get, methods=["GET"]),
                Route("/healthz", self._health, methods=["GET"]),
            ],
            lifespan=self._life,
        )

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        cleaning = asyncio.create_task(self._clean_up())
        try:
            yield
        finally:
            cleaning.cancel()
            with suppress(asyncio.CancelledError):
                await cleaning
            await asyncio.to_thread(self.close)

    async def _clean_up(self) -> None:
        while True:
            for endpoint in list(self._endpoints.values()):
                try:
                    await asyncio.to_thread(endpoint.clean_up)
                except OSError as error:
                    _log.warning("%s: %s", endpoint.config.name, error)
            await asyncio.sleep(CLEANING_S)

    def _opened(self, config: EndpointConfig) -> ServedEndpoint:
        """The endpoint, its log opened. Raises BodyError if there are too many, IllegalStateError, OSError."""
        with self._opening:
            if config.name not in self._endpoints:
                others = len(self._endpoints.keys() - self._config.endpoints.keys())
                if config.name not in self._config.endpoints and others >= UNDECLARED:
                    raise BodyError(f"There are {others} endpoints that no file declares; declare more of them", 404)
                self._endpoints[config.name] = ServedEndpoint(config, self._folder, self._clock, self._hook)
            return self._endpoints[config.name]

    async def _endpoint(self, request: Request, *, create: bool) -> ServedEndpoint:
        """The endpoint that a request names. Raises BodyError if there is none, and for who may not ask; as `_opened`.

        `create`: also one without a log.
        """
        name = request.path_params["name"]
        config = self._config.endpoint(name)
        if config is None:
            why = "names have letters, digits, . _ and -" if self._config.open else "the server's file declares them"
            raise BodyError(f"There is no endpoint {name!r}: {why}", 404)
        headers = request.headers
        if not config.admits(headers.get("authorization", ""), headers.get("x-api-key", "")):
            raise BodyError("The token is missing or wrong: Authorization: Bearer TOKEN", 401)
        found = self._endpoints.get(name)
        if found is not None:
            return found
        if not create and not (self._folder / name).is_dir():
            raise BodyError(f"Nothing was posted to the endpoint {name} so far", 404)
        return await asyncio.to_thread(self._opened, config)

    async def _post(self, request: Request) -> Response:
        try:
            endpoint = await self._endpoint(request, create=True)
            wait, why = endpoint.wait_s()
            if wait:
                return _later(wait, f"The endpoint {endpoint.config.name} takes no more for now: {why}")
            body = await _body(request, endpoint.config.max_body)
            headers = {name.decode("latin-1").lower(): _text(value) for name, value in request.headers.raw}
            if len(body) > INLINE_BYTES or endpoint.config.bad_data == "dead_letter":
                written, aside = await asyncio.to_thread(endpoint.take, body, headers)
            else:
                written, aside = endpoint.take(body, headers)
            # Not cancelled with its request: what is written is written.
            appended = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(written)), WRITE_LIMIT_S)
        except Exception as error:  # noqa: BLE001 - each has its answer; what is not known is a 500
            return _told(error)
        return _accepted(endpoint.config.name, appended, aside)

    async def _get(self, request: Request) -> Response:
        try:
            endpoint = await self._endpoint(request, create=False)
            return _json(200, await asyncio.to_thread(endpoint.status))
        except Exception as error:  # noqa: BLE001 - as above
            return _told(error)

    async def _health(self, _: Request) -> Response:
        failed = [name for name, endpoint in self._endpoints.items() if endpoint.writer.failed]
        if failed:
            return _json(503, {"status": "failed", "endpoints": failed})
        return _json(200, {"status": "ok"})


def _text(value: bytes) -> str:
    """A header's value: programs send UTF-8, though HTTP once said Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _body(request: Request, most: int) -> bytes:
    """The body. Raises BodyError for one that is larger (413) or takes too long (408)."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise BodyError(f"The body has {length} bytes; {most} are taken at most", 413)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise BodyError(f"The body has more than {most} bytes", 413)
                parts.append(part)
    except TimeoutError:
        raise BodyError(f"The body did not arrive within {BODY_LIMIT_S:.0f} seconds", 408) from None
    return b"".join(parts)


def _accepted(name: str, appended: Appended, aside: int) -> Response:
    told: dict[str, Any] = {"endpoint": name, "accepted": appended.count}
    if appended.count:
        told |= {"first_offset": appended.first, "last_offset": appended.first + appended.count - 1}
    if appended.repeated:
        told["repeated"] = True
    if aside:
        told["dead_letters"] = aside
    return _json(202, told)


def _told(error: Exception) -> Response:
    from starlette.requests import ClientDisconnect

    match error:
        case BodyError(status=401):
            return _answer(401, error.message, WWW_Authenticate="Bearer")
        case BodyError():
            return _answer(error.status, error.message)
        case OtherRequestError():
            return _answer(422, "This Idempotency-Key was used for another body: a new request needs a new key")
        case LogFullError():
            return _later(1.0, f"The disk is slower than what comes: {error}")
        case TimeoutError():
            return _later(5.0, "The disk did not answer in time: send the same again, with the same key", 503)
        case OSError():
            _log.error("events could not be written: %s", error)
            return _later(10.0, "The events could not be written to disk", 503)
        case ClientDisconnect():
            return _answer(400, "The client went away")
        case IllegalStateError():
            _log.error("%s", error.message)
            return _later(5.0, "The server is stopping, or another one has this endpoint", 503)
        case SparkError():
            _log.error("%s", error.message)
            return _later(10.0, "Bad events could not be set aside; nothing was taken", 503)
        case _:
            _log.exception("a request failed")
            return _answer(500, "The server failed at this request; its log says why")


def _later(wait_s: float, message: str, status: int = 429) -> Response:
    return _answer(status, message, Retry_After=str(max(1, math.ceil(wait_s))))


def _answer(status: int, message: str, **headers: str) -> Response:
    return _json(status, {"error": message}, {name.replace("_", "-"): value for name, value in headers.items()})


def _json(status: int, told: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(dict(told), status, headers=dict(headers or {}))
