"""A schema registry in memory, for tests: it answers a `RegistryClient` without a network.

registry = MemoryRegistry()
client = RegistryClient("http://memory", transport=registry.transport())
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    import httpx


@dataclass
class MemoryRegistry:
    """Its subjects with their schemas. It does not compare schemas: `refused` has those that are not compatible.

    `failures`: the statuses that the next requests get instead of an answer. `requests`: what was asked so far.
    """

    subjects: dict[str, list[int]] = field(default_factory=dict)
    schemas: list[dict[str, Any]] = field(default_factory=list)
    levels: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    failures: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        """What to give a client as its transport."""
        import httpx

        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        import httpx

        steps = [unquote(step) for step in request.url.raw_path.decode().partition("?")[0].strip("/").split("/")]
        self.requests.append(f"{request.method} /{'/'.join(steps)}")
        if self.failures:
            return httpx.Response(self.failures.pop(0), text="not now")
        body = json.loads(request.content) if request.content else {}
        status, reply = self._reply(request.method, steps, body)
        return httpx.Response(status, json=reply)

    def _reply(self, method: str, steps: Sequence[str], body: dict[str, Any]) -> tuple[int, Any]:
        match method, list(steps):
            case "GET", ["subjects"]:
                return 200, list(self.subjects)
            case "GET", ["schemas", "ids", number]:
                known = 0 < int(number) <= len(self.schemas)
                return (200, self.schemas[int(number) - 1]) if known else _missing(40403, "Schema not found")
            case "GET", ["subjects", subject, "versions"]:
                if subject not in self.subjects:
                    return _missing(40401, f"Subject '{subject}' not found.")
                return 200, list(range(1, len(self.subjects[subject]) + 1))
            case "GET", ["subjects", subject, "versions", version]:
                return self._version(subject, version)
            case "POST", ["subjects", subject, "versions"]:
                return self._register(subject, body)
            case "POST", ["subjects", subject]:
                has = self._number(body) in self.subjects.get(subject, ())
                found = {"id": self._number(body), "subject": subject}
                return (200, found) if has else _missing(40403, "Schema not found")
            case "POST", ["compatibility", "subjects", _, "versions"]:
                fits = body["schema"] not in self.refused
                return 200, {"is_compatible": fits} | ({} if fits else {"messages": ["a field has no default"]})
            case _, ["config", *subject]:
                return self._config(method, subject[0] if subject else "", body)
        return _missing(404, "HTTP 404 Not Found")

    def _version(self, subject: str, version: str) -> tuple[int, Any]:
        ids = self.subjects.get(subject)
        if ids is None:
            return _missing(40401, f"Subject '{subject}' not found.")
        number = len(ids) if version == "latest" else int(version)
        if not 0 < number <= len(ids):
            return _missing(40402, f"Version {version} not found.")
        known = ids[number - 1]
        return 200, {**self.schemas[known - 1], "id": known, "subject": subject, "version": number}

    def _register(self, subject: str, body: dict[str, Any]) -> tuple[int, Any]:
        if body["schema"] in self.refused:
            return 409, {"error_code": 409, "message": "Schema being registered is incompatible"}
        number = self._number(body)
        if number is None:
            self.schemas.append(body)
            number = len(self.schemas)
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return 200, {"id": number}

    def _number(self, body: dict[str, Any]) -> int | None:
        return next((at for at, known in enumerate(self.schemas, 1) if known == body), None)

    def _config(self, method: str, subject: str, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "PUT":
            self.levels[subject] = body["compatibility"]
            return 200, body
        if subject not in self.levels:
            return _missing(40408, "Subject does not have subject-level compatibility configured")
        return 200, {"compatibilityLevel": self.levels[subject]}


def _missing(code: int, message: str) -> tuple[int, Any]:
    return 404, {"error_code": code, "message": message}
