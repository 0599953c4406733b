"""The registry's REST interface, as Confluent defines it.

A schema has an id that never changes and never means another schema, so what was fetched by id is kept for good. A
request that fails for a reason that may pass (no connection, too many requests, an error of the server) is made again,
a few times, each time after a longer wait; then the error is raised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

from riacho.errors import IllegalArgumentError, SparkGeneralError
from riacho.extras import require

if TYPE_CHECKING:
    import httpx

URL: Final = "SCHEMA_REGISTRY_URL"
USER: Final = "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"
"""The environment variables that Confluent's own tools read: the address, and `user:password`."""

AVRO: Final = "AVRO"
JSON: Final = "JSON"
KINDS: Final = (AVRO, JSON, "PROTOBUF")
LEVELS: Final = (
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
    "NONE",
)
"""What a subject may ask of a new version."""

LIMIT_S: Final = 10.0
"""How long one request may take."""
WAITS_S: Final = (0.2, 0.5, 1.0, 2.0)
"""The pauses before a failed request is made again."""
_MAY_PASS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNKNOWN: Final = 404
_CONTENT: Final = "application/vnd.schemaregistry.v1+json"


class RegistryError(SparkGeneralError):
    """The registry refused a request, or could not be reached. `status`: of the reply, None if there was none."""

    def __init__(self, message: str, status: int | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """The registry's own number for the error, such as 40401 for a subject that there is not."""


@dataclass(frozen=True)
class Reference:
    """A schema that another one refers to: by which name, and where it is."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True)
class RegisteredSchema:
    """A schema as the registry has it. `version`: 0 if it was asked for by id alone."""

    id: int
    text: str
    kind: str = AVRO
    subject: str = ""
    version: int = 0
    references: tuple[Reference, ...] = ()


class RegistryClient:
    """A registry at an address. `auth`: user and password; by default from the address, else from the environment.

    Give `transport` to answer requests without a network. Safe to use from several threads.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        limit_s: float = LIMIT_S,
        waits_s: Sequence[float] = WAITS_S,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        httpx = require("httpx", "registry", "The schema registry")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise IllegalArgumentError(f"The address of a schema registry must begin with http:// or https://: {url}")
        if auth is None and parts.username is not None:
            auth = parts.username, parts.password or ""
        if auth is None and USER in os.environ:
            user, _, password = os.environ[USER].partition(":")
            auth = user, password
        host = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        """The address without a password."""
        self.auth = auth
        """User and password, if there are any."""
        self._client = httpx.Client(auth=auth, timeout=limit_s, transport=transport, headers={"Accept": _CONTENT})
        self._failures: tuple[type[Exception], ...] = (httpx.TransportError,)
        tenacity = require("tenacity", "registry", "The schema registry")
        self._attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RegistryError) | tenacity.retry_if_result(_may_pass),
            wait=tenacity.wait_chain(*map(tenacity.wait_fixed, waits_s)) if waits_s else tenacity.wait_none(),
            stop=tenacity.stop_after_attempt(len(waits_s) + 1),
            sleep=sleep,
            retry_error_callback=lambda state: state.outcome.result(),
        )
        self._by_id: dict[int, RegisteredSchema] = {}

    @classmethod
    def of_environment(cls, url: str | None = None) -> Self:
        """The registry at `url`, or where the environment says. Raises IllegalArgumentError if neither is given."""
        found = url or os.environ.get(URL)
        if not found:
            raise IllegalArgumentError(f"Which schema registry? Give its address, or set {URL}.")
        return cls(found)

    def by_id(self, id: int) -> RegisteredSchema:
        """The schema of an id. Raises RegistryError."""
        if id not in self._by_id:
            reply = self._call("GET", f"/schemas/ids/{id}")
            self._by_id[id] = _schema({**reply, "id": id})
        return self._by_id[id]

    def subjects(self) -> list[str]:
        return sorted(self._call("GET", "/subjects"))

    def versions(self, subject: str) -> list[int]:
        """The versions of a subject, oldest first; none if there is no such subject."""
        reply = self._call("GET", f"/subjects/{quote(subject, safe='')}/versions", missing=[])
        return sorted(reply)

    def version(self, subject: str, version: int | str = "latest") -> RegisteredSchema:
        """One version of a subject. Raises RegistryError."""
        return _schema(self._call("GET", f"/subjects/{quote(subject, safe='')}/versions/{version}"))

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest version of a subject; None if there is no such subject."""
        reply = self._call("GET", f"/subjects/{quote(subject, safe='')}/versions/latest", missing=None)
        return None if reply is None else _schema(reply)

    def find(self, subject: str, text: str, kind: str = AVRO, references: Sequence[Reference] = ()) -> int | None:
        """The id of a schema under a subject; None if the subject does not have it."""
        body = _body(text, kind, references)
        reply = self._call("POST", f"/subjects/{quote(subject, safe='')}", body, missing=None)
        return None if reply is None else int(reply["id"])

    def register(self, subject: str, text: str, kind: str = AVRO, references: Sequence[Reference] = ()) -> int:
        """The id of a schema, which becomes the newest version of a subject unless it is one. Raises RegistryError."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        return int(self._call("POST", path, _body(text, kind, references))["id"])

    def complaints(self, subject: str, text: str, kind: str = AVRO, references: Sequence[Reference] = ()) -> list[str]:
        """Why a schema may not become the next version of a subject; nothing if it may, or if there is no subject."""
        if not self.versions(subject):
            return []
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions?verbose=true"
        reply = self._call("POST", path, _body(text, kind, references))
        if reply.get("is_compatible", False):
            return []
        return [str(message) for message in reply.get("messages") or ()] or ["it is not compatible"]

    def level(self, subject: str | None = None) -> str | None:
        """What a subject asks of new versions: its own level, None if it has none; without a subject, the default."""
        reply = self._call("GET", _config(subject), missing={})
        found = reply.get("compatibilityLevel")
        return None if found is None else str(found)

    def set_level(self, subject: str | None, level: str) -> None:
        """Have a subject, or all that have no level of their own, ask that of new versions. Raises RegistryError."""
        self._call("PUT", _config(subject), {"compatibility": level})

    def close(self) -> None:
        self._client.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **missing: Any) -> Any:
        """The reply to a request; `missing`, if it is given, for something that there is not."""
        reply: httpx.Response = self._attempts(self._request, method, path, body)
        if reply.status_code < 400:
            return reply.json()
        if reply.status_code == _UNKNOWN and "missing" in missing:
            return missing["missing"]
        raise self._refused(method, path, reply)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        """One attempt. Raises RegistryError if there is no reply."""
        headers = {"Content-Type": _CONTENT} if body else None
        try:
            reply: httpx.Response = self._client.request(method, self.url + path, json=body, headers=headers)
        except self._failures as error:
            raise RegistryError(
                f"The schema registry at {self.url} cannot be reached: {str(error) or type(error).__name__}. "
                "Is the address right, and does it run?"
            ) from None
        return reply

    def _refused(self, method: str, path: str, reply: httpx.Response) -> RegistryError:
        code, told = None, reply.text.strip()[:500]
        try:
            found = reply.json()
            code, told = found.get("error_code"), str(found.get("message") or told)
        except (ValueError, AttributeError):
            pass  # not in the registry's own form: what it says as it says it
        if reply.status_code in (401, 403):
            told = f"{told or 'access denied'}. Set {USER} to user:password, or put them into the address"
        return RegistryError(
            f"The schema registry at {self.url} refused {method} {path.partition('?')[0]} with status "
            f"{reply.status_code}: {told}",
            reply.status_code,
            code,
        )


def _may_pass(reply: httpx.Response) -> bool:
    """Whether a request that had this reply may do better later."""
    return reply.status_code in _MAY_PASS


def _schema(reply: Mapping[str, Any]) -> RegisteredSchema:
    return RegisteredSchema(
        id=int(reply["id"]),
        text=reply["schema"],
        kind=reply.get("schemaType") or AVRO,
        subject=reply.get("subject") or "",
        version=int(reply.get("version") or 0),
        references=tuple(Reference(r["name"], r["subject"], r["version"]) for r in reply.get("references") or ()),
    )


def _body(text: str, kind: str, references: Sequence[Reference]) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": text}
    if kind != AVRO:
        body["schemaType"] = kind
    if references:
        body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in references]
    return body


def _config(subject: str | None) -> str:
    return "/config" if subject is None else f"/config/{quote(subject, safe='')}"
