"""Requests that end: with limits, a rate, retries, and errors without secrets.

What may pass is tried again: no connection, an answer that is cut off or no JSON, a time-out, 408, 425, 429 and 5xx.
`Retry-After`, and `X-RateLimit-Reset` where nothing remains, say how long to wait; else the wait is random and its
limit doubles. Everything else is an error at once.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from riacho.connectors.rest.answers import Answer, NotJsonError, excerpt, parsed
from riacho.connectors.rest.auth import ClientCredentials, Credentials, FixedCredentials
from riacho.connectors.rest.requests import Ask, joined, origin
from riacho.connectors.rest.settings import RestSettings
from riacho.errors import IllegalArgumentError, SparkGeneralError
from riacho.extras import require

if TYPE_CHECKING:
    import httpx

_MAY_PASS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WHAT: Final = "The rest connector"


class _Passing(Exception):  # noqa: N818 - what happened, not what is wrong
    """A failure that may pass. `wait_s`: how long the server asks to wait."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.wait_s = wait_s


class _Rate:
    """Lets requests through evenly, so many a second; safe for threads."""

    def __init__(self, per_s: float | None, sleep: Callable[[float], None], now_s: Callable[[], float]) -> None:
        self._gap_s = 0.0 if per_s is None else 1 / per_s
        self._sleep, self._now_s = sleep, now_s
        self._lock = threading.Lock()
        self._next_s = 0.0

    def wait(self) -> None:
        if not self._gap_s:
            return
        with self._lock:
            turn = max(self._next_s, self._now_s())
            self._next_s = turn + self._gap_s
        early = turn - self._now_s()
        if early > 0:
            self._sleep(early)


class RestClient:
    """Fetches answers for one process; safe to use from several threads. Close it.

    `share`: the part of the rate that is this client's, where several processes ask at once. `transport` answers
    instead of a network, `sleep` and the clocks (seconds; since 1970, and steady) are for tests.
    """

    def __init__(
        self,
        settings: RestSettings,
        *,
        share: float = 1.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._httpx: Any = require("httpx", "rest", _WHAT)
        self._tenacity: Any = require("tenacity", "rest", _WHAT)
        self._settings = settings
        self._sleep, self._now_s, self._steady_s = sleep, now_s, steady_s
        self._redactor = settings.redactor
        rate = settings.limits.rate
        self._rate = _Rate(None if rate is None else rate * share, sleep, steady_s)
        self._client = self._opened(transport)
        self._home = origin(settings.url)
        self._credentials: Credentials = (
            ClientCredentials(self._token, steady_s)
            if settings.auth.kind == "oauth2"
            else FixedCredentials(settings.auth)
        )

    def _opened(self, transport: httpx.BaseTransport | None) -> httpx.Client:
        limits, way = self._settings.limits, self._settings.transport
        timeout = self._httpx.Timeout(limits.read_s, connect=limits.connect_s)
        try:
            verify: Any = ssl.create_default_context(cafile=way.authorities)
            if not way.verify:
                verify.check_hostname = False
                verify.verify_mode = ssl.CERT_NONE
            if way.certificate:
                verify.load_cert_chain(way.certificate, way.key)
            client: httpx.Client = self._httpx.Client(
                timeout=timeout, proxy=way.proxy, verify=verify, transport=transport, follow_redirects=False
            )
        except (OSError, ValueError) as error:
            told = self._redactor.text(str(error))
            raise IllegalArgumentError(f"The options proxy and tls.* cannot be used: {told}") from None
        return client

    def close(self) -> None:
        self._client.close()

    def fetch(self, ask: Ask, *, decimals: bool = False) -> tuple[Answer, Any]:
        """The answer and its document. Raises SparkGeneralError when it cannot be had."""

        def once() -> tuple[Answer, Any]:
            answer = self._answer(ask, deadline_s)
            if answer.is_empty:
                return answer, None
            try:
                return answer, parsed(answer.body, lines=self._settings.lines, decimals=decimals)
            except NotJsonError as error:
                shown = excerpt(answer.body.decode(errors="replace"), self._redactor)
                raise _Passing(f"the answer is not JSON ({error}); it begins: {shown}") from None

        deadline_s = self._steady_s() + self._settings.limits.total_s
        found: tuple[Answer, Any] = self._patiently(ask, once, deadline_s)
        return found

    def send(self, ask: Ask) -> Answer:
        """The answer, whatever it is made of. Raises SparkGeneralError when it cannot be had."""
        deadline_s = self._steady_s() + self._settings.limits.total_s
        found: Answer = self._patiently(ask, lambda: self._answer(ask, deadline_s), deadline_s)
        return found

    def _patiently(self, ask: Ask, once: Callable[[], Any], deadline_s: float) -> Any:
        """Try until it works, the retries are used up or the next wait would be too long."""
        limits = self._settings.limits
        jitter = self._tenacity.wait_random_exponential(multiplier=limits.wait_s, max=limits.max_wait_s)
        began_s = self._steady_s()

        def wait(state: Any) -> float:
            asked = state.outcome.exception().wait_s
            return float(jitter(state)) if asked is None else float(asked)

        def stop(state: Any) -> bool:
            return bool(state.attempt_number > limits.retries or self._steady_s() + state.upcoming_sleep > deadline_s)

        def give_up(state: Any) -> NoReturn:
            failure: _Passing = state.outcome.exception()
            tries = "once" if state.attempt_number == 1 else f"{state.attempt_number} times"
            took = self._steady_s() - began_s
            more = ""
            if state.attempt_number <= limits.retries:
                more = f" The next wait, {state.upcoming_sleep:.0f} s, would be longer than totalTimeout allows."
            raise self._failed(ask, f"{failure.what} (tried {tries} in {took:.1f} s).{more}") from None

        attempts = self._tenacity.Retrying(
            retry=self._tenacity.retry_if_exception_type(_Passing),
            wait=wait,
            stop=stop,
            sleep=self._sleep,
            retry_error_callback=give_up,
        )
        return attempts(once)

    def _failed(self, ask: Ask, what: str) -> SparkGeneralError:
        return SparkGeneralError(self._redactor.text(f"{ask.method} {ask.address()} failed: {what}"))

    def _answer(self, ask: Ask, deadline_s: float) -> Answer:
        """One attempt, with its redirects. Raises _Passing, SparkGeneralError."""
        for _ in range(self._settings.limits.redirects + 1):
            at_home = origin(ask.url) == self._home
            whole = self._credentials.applied(ask) if at_home else ask
            reply = self._reply(whole, deadline_s)
            status = reply.status_code
            if status == 401 and at_home and self._credentials.refused(whole):
                reply = self._reply(self._credentials.applied(ask), deadline_s)
                status = reply.status_code
            if status in _REDIRECTS and "location" in reply.headers:
                ask = self._redirected(ask, reply)
                continue
            if status in self._settings.empty_status:
                return Answer(ask.url, b"", {}, int(self._now_s() * 1_000_000), is_empty=True)
            if 200 <= status < 300:
                if isinstance(self._credentials, ClientCredentials):
                    self._credentials.accepted()
                links = {str(name): link["url"] for name, link in reply.links.items() if "url" in link}
                return Answer(ask.url, reply.content, links, int(self._now_s() * 1_000_000))
            raise self._refused(ask, reply)
        raise self._failed(ask, f"more than {self._settings.limits.redirects} redirects (maxRedirects)")

    def _redirected(self, ask: Ask, reply: httpx.Response) -> Ask:
        """Where a redirect leads. Another host gets neither credentials nor headers of the options, nor a body."""
        url = joined(str(reply.url), reply.headers["location"])
        if urlsplit(url).scheme not in ("http", "https"):
            raise self._failed(ask, f"it redirects to {urlsplit(url).scheme}:…")
        keeps = reply.status_code in (307, 308) or ask.method in ("GET", "HEAD")
        ask = replace(ask, url=url, parameters={})
        if not keeps:
            ask = replace(ask, method="GET", body=None)
        if origin(url) == self._home:
            return ask
        if ask.body is not None:
            raise self._failed(ask, f"it redirects to another host, {urlsplit(url).hostname}, which gets no body")
        return replace(ask, headers={})

    def _reply(self, ask: Ask, deadline_s: float) -> httpx.Response:
        """One exchange. Raises _Passing if there is no complete answer."""
        self._rate.wait()
        library = self._httpx
        request = self._built(ask)
        if deadline_s - self._steady_s() < self._settings.limits.read_s:
            left = max(deadline_s - self._steady_s(), 0.001)
            limits = self._settings.limits
            request.extensions["timeout"] = library.Timeout(left, connect=min(left, limits.connect_s)).as_dict()
        try:
            reply: httpx.Response = self._client.send(request, stream=True)
            try:
                self._read(ask, reply, deadline_s)
            finally:
                reply.close()
        except library.TimeoutException as error:
            raise _Passing(f"no answer in time ({type(error).__name__})") from None
        except (library.LocalProtocolError, library.UnsupportedProtocol) as error:
            raise self._failed(ask, f"it cannot be sent: {error}") from None
        except (library.TransportError, library.DecodingError) as error:
            raise _Passing(f"{str(error) or type(error).__name__}") from None
        return reply

    def _built(self, ask: Ask) -> httpx.Request:
        """The library's request. Raises SparkGeneralError for what cannot be sent."""
        content = {"json": ask.body} if isinstance(ask.body, dict | list) else {"content": ask.body}
        headers = {"Accept": "application/json, */*;q=0.5", **ask.headers}
        odd = next((name for name, value in headers.items() if not f"{name}{value}".isascii()), None)
        if odd is not None:
            raise self._failed(ask, f"the header {odd} has other characters than ASCII, which cannot be sent")
        try:
            url = self._httpx.URL(ask.url)
            if ask.parameters:
                url = url.copy_merge_params(_query(ask.parameters))
            request: httpx.Request = self._client.build_request(ask.method, url, headers=headers, **content)
        except (self._httpx.InvalidURL, UnicodeError) as error:
            raise self._failed(ask, f"the address is wrong: {error}") from None
        return request

    def _read(self, ask: Ask, reply: httpx.Response, deadline_s: float) -> None:
        """Take the whole body, but no more than is allowed and no longer than there is time."""
        taken: list[bytes] = []
        size, most = 0, self._settings.limits.size_bytes
        for part in reply.iter_bytes():
            taken.append(part)
            size += len(part)
            if size > most:
                raise self._failed(ask, f"the answer has more than {most} bytes (maxBytes)")
            if self._steady_s() > deadline_s:
                raise _Passing("the answer did not end in time (totalTimeout)")
        reply._content = b"".join(taken)  # noqa: SLF001 - what `Response.read` does, with a limit

    def _refused(self, ask: Ask, reply: httpx.Response) -> Exception:
        """What an answer with a bad status means: another try, or the end."""
        status = reply.status_code
        told = excerpt(reply.text, self._redactor)
        what = f"status {status}" + (f": {told}" if told else "")
        wait_s = self._asked_to_wait(reply.headers)
        if status in _MAY_PASS or (status == 403 and wait_s is not None):
            return _Passing(what, wait_s)
        if status in (401, 403):
            kind = self._settings.auth.kind
            told_who = "nothing was said of who asks (auth)" if kind == "none" else f"asked with auth = {kind}"
            if kind != "none" and origin(ask.url) != self._home:
                told_who = "a redirect led here from the option url, and another address is not told who asks"
            what = f"access denied, {what} ({told_who})"
        return self._failed(ask, what)

    def _asked_to_wait(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that an answer asks to wait: a number or a date; None if it does not ask."""
        text = headers.get("retry-after", "").strip()
        if text:
            if text.replace(".", "", 1).isdecimal():
                return float(text)
            try:
                return max(parsedate_to_datetime(text).timestamp() - self._now_s(), 0.0)
            except ValueError:
                return None
        reset = headers.get("x-ratelimit-reset", "").strip()
        if headers.get("x-ratelimit-remaining", "").strip() == "0" and reset.isdecimal():
            seconds = float(reset)  # GitHub tells a time, others how long it is until then
            return max(seconds - self._now_s(), 0.0) if seconds > 1_000_000_000 else seconds
        return None

    def _token(self) -> tuple[str, float | None]:
        """A token for the client of the options. Raises SparkGeneralError."""
        auth = self._settings.auth
        form = {"grant_type": "client_credentials", **({"scope": auth.scope} if auth.scope else {})}
        deadline_s = self._steady_s() + self._settings.limits.total_s

        def once() -> tuple[str, float | None]:
            try:
                reply: httpx.Response = self._client.post(auth.token_url, data=form, auth=(auth.user, auth.secret))
            except self._httpx.TransportError as error:
                raise _Passing(f"no token: {str(error) or type(error).__name__}") from None
            if reply.status_code in _MAY_PASS:
                raise _Passing(f"no token: status {reply.status_code}", self._asked_to_wait(reply.headers))
            try:
                told = reply.json()
                if reply.status_code < 300:
                    life = told.get("expires_in")
                    self._redactor = self._redactor.also(str(told["access_token"]))
                    return str(told["access_token"]), None if life is None else float(life)
            except (ValueError, KeyError, AttributeError, TypeError):
                pass
            failed = reply.status_code >= 300
            shown = excerpt(reply.text, self._redactor) if failed else "no access_token in it"
            raise self._failed(ask, f"no token (auth.tokenUrl): status {reply.status_code}: {shown}")

        ask = Ask("POST", auth.token_url)
        found: tuple[str, float | None] = self._patiently(ask, once, deadline_s)
        return found


def _query(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters as text; a list is sent once for each of its elements."""
    pairs = [(n, v) for n, value in parameters.items() for v in (value if isinstance(value, list) else [value])]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in pairs]
