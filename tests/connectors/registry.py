"""A real schema registry for the tests here: one for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from riacho.registry.client import RegistryClient
from riacho.testing.registry_server import SchemaRegistryServer
from tests.connectors.services import laid


@pytest.fixture(scope="session")
def registry_home() -> Path:
    """Where `make services` has laid the registry."""
    return laid("registry", "schema registry")


@pytest.fixture(scope="session")
def schema_registry(registry_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistryServer]:
    """The registry that all tests share; each has subjects of its own."""
    with SchemaRegistryServer(registry_home, tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def registry(schema_registry: SchemaRegistryServer) -> RegistryClient:
    """A client of it."""
    return RegistryClient(schema_registry.url)


@pytest.fixture
def subject() -> str:
    """The subject of a topic of the test's own."""
    return f"t-{uuid4().hex[:12]}-value"
