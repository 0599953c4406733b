"""Sending events to an endpoint: with a key for each request, so that one that is sent again is not taken twice."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from riacho.errors import IllegalArgumentError, SparkGeneralError
from riacho.ids import new_uuid

ATTEMPTS: Final = 8
TIME_OUT_S: Final = 30.0
LONGEST_WAIT_S: Final = 10.0
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


class IngestRefusedError(SparkGeneralError):
    """The endpoint did not take what was sent. `status`: HTTP's, 0 if nobody answered."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Receipt:
    """Events that are on the server's disk: their number and the offset of the first, None without any.

    `repeated`: an earlier request with the same key had brought them. `dead_letters`: how many were set aside.
    """

    accepted: int
    first_offset: int | None
    repeated: bool = False
    dead_letters: int = 0


class IngestClient:
    """A connection to one server. Not for several threads at once. To be closed.

    `url`: `http://HOST:PORT`. What can be sent again is sent again, at most `attempts` times, with longer pauses.
    """

    def __init__(
        self, url: str, *, token: str | None = None, attempts: int = ATTEMPTS, time_out_s: float = TIME_OUT_S
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise IllegalArgumentError(f"{url!r} is not the address of an ingest server: write http://HOST:PORT")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._token = token
        self._attempts = attempts
        self._time_out_s = time_out_s
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def send(self, endpoint: str, events: Iterable[Any], *, key: str | None = None) -> Receipt:
        """Send events, whatever JSON has a form of, in one request. Returns when they are on the server's disk.

        `key`: the request's idempotency key; by default one of its own. Raises as `post`.
        """
        lines = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events]
        return self.post(endpoint, "\n".join(lines).encode(), "application/x-ndjson", key=key)

    def post(self, endpoint: str, body: bytes, content_type: str, *, key: str | None = None, **headers: str) -> Receipt:
        """Send a body as it is. `headers`: more of them, `_` for `-`. Raises IngestRefusedError."""
        given = {
            "Content-Type": content_type,
            "Idempotency-Key": key or new_uuid(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if self._token is not None:
            given["Authorization"] = f"Bearer {self._token}"
        for attempt in range(1, self._attempts + 1):
            status, told, wait_s = self._once(endpoint, body, given)
            if status == 202:
                first = told.get("first_offset")
                return Receipt(told["accepted"], first, bool(told.get("repeated")), int(told.get("dead_letters", 0)))
            if (status and status not in _AGAIN) or attempt == self._attempts:
                where = f"The endpoint {endpoint} at {self._host}:{self._port or (443 if self._secure else 80)}"
                said = f"answered {status}" if status else "did not answer"
                tries = f" ({attempt} attempts)" if attempt > 1 else ""
                raise IngestRefusedError(f"{where} {said}{tries}: {told.get('error', told)}", status)
            time.sleep(min(LONGEST_WAIT_S, max(wait_s, random.uniform(0, 0.1 * 2**attempt))))
        raise AssertionError

    def _once(self, endpoint: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any], float]:
        """Status, answer, and how long to wait; 0 as status if there was no answer."""
        try:
            if self._connection is None:
                kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
                self._connection = kind(self._host, self._port, timeout=self._time_out_s)
            self._connection.request("POST", f"{self._path}/ingest/{quote(endpoint, safe='')}", body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return 0, {"error": str(error) or type(error).__name__}, 0.0
        try:
            told = json.loads(text)
        except ValueError:
            told = {"error": text[:200].decode("utf-8", "replace")}
        wait = answer.headers.get("Retry-After", "")
        return (
            answer.status,
            told if isinstance(told, dict) else {"error": told},
            float(wait) if wait.isdigit() else 0.0,
        )


def chunks(lines: Iterable[bytes], most_bytes: int, most_lines: int) -> Iterator[Sequence[bytes]]:
    """Lines in portions that fit into a request."""
    taken: list[bytes] = []
    size = 0
    for line in lines:
        if taken and (size + len(line) > most_bytes or len(taken) == most_lines):
            yield taken
            taken, size = [], 0
        taken.append(line)
        size += len(line) + 1
    if taken:
        yield taken
