"""Who asks: what is added to a request, and where it comes from."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from riacho.connectors.rest.requests import Ask
from riacho.connectors.rest.settings import Auth

EARLY_S: Final = 30.0
"""A token is renewed so long before it ends."""
_LIFE_S: Final = 300.0
"""How long a token is taken to live whose server does not say."""

FetchToken = Callable[[], tuple[str, float | None]]
"""Gets a token, and for how many seconds it is good."""


class Credentials(Protocol):
    def applied(self, ask: Ask) -> Ask:
        """The request with who asks."""

    def refused(self, ask: Ask) -> bool:
        """Told that a request was refused (401), as it was sent: whether it is worth asking again."""


class FixedCredentials:
    """The same for every request."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def applied(self, ask: Ask) -> Ask:
        auth = self._auth
        if auth.kind == "query":
            return ask.with_parameters({auth.name: auth.secret}, in_body=False)
        if auth.kind == "header":
            return replace(ask, headers={**ask.headers, auth.name: auth.secret})
        if auth.kind == "bearer":
            return replace(ask, headers={**ask.headers, "Authorization": f"Bearer {auth.secret}"})
        if auth.kind == "basic":
            pair = base64.b64encode(f"{auth.user}:{auth.secret}".encode()).decode()
            return replace(ask, headers={**ask.headers, "Authorization": f"Basic {pair}"})
        return ask

    def refused(self, ask: Ask) -> bool:  # noqa: ARG002 - the protocol's
        return False


class ClientCredentials:
    """OAuth 2: a token for a client, got when it is first needed and again when it ends or is refused."""

    def __init__(self, fetch: FetchToken, now_s: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now_s = now_s
        self._lock = threading.Lock()
        self._token = ""
        self._ends_s = 0.0
        self._fresh = False

    def applied(self, ask: Ask) -> Ask:
        with self._lock:
            if not self._token or self._now_s() >= self._ends_s:
                self._token, life = self._fetch()
                self._ends_s = self._now_s() + max((_LIFE_S if life is None else life) - EARLY_S, 1.0)
                self._fresh = True
            return replace(ask, headers={**ask.headers, "Authorization": f"Bearer {self._token}"})

    def refused(self, ask: Ask) -> bool:
        """A token that was just got is refused for another reason than its age.

        If another thread has renewed the token meanwhile, the request goes again with that one.
        """
        with self._lock:
            if self._token and ask.headers.get("Authorization") != f"Bearer {self._token}":
                return True
            worth, self._fresh = bool(self._token) and not self._fresh, False
            self._token = ""
            return worth

    def accepted(self) -> None:
        self._fresh = False
