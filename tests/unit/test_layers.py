"""The plan of the house: which package may import which. `docs/architecture.md` draws it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "riacho"
LEAVES = (
    "allocator", "arrow", "clock", "conf", "errors", "extras", "identifiers", "ids", "intervals", "options",
    "paths", "protos", "storage", "types", "units", "yaml_files", "zones",
)  # fmt: skip
ROOMS = (
    "sql", "plan", "formats", "state", "engine", "delta", "files", "catalog", "commands", "workers", "kafka",
    "streaming", "batch", "graph", "connect",
)  # fmt: skip
"""The rooms of the server half, from the bottom up: each imports only what stands before it."""
NAMES_OF_CONNECTORS = "connectors.names"
"""What the server half knows of connectors; workers load them by these names."""
INTO_THE_SERVER = frozenset(
    {
        "registry/late.py",
        "cli/up.py",
        "cli/state.py",
        "cli/tables.py",
        "cli/table_checks.py",
        "cli/sql.py",
        "cli/project.py",
    }
)
"""Outside the server half and `testing`, who may import it: what starts it, looks at its files, reads SQL text or runs
inside it."""


def imports(file: Path) -> Iterator[str]:
    """The modules of riacho that a file imports, without `riacho.`; "" for the package itself."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "riacho":
            yield node.module.partition(".")[2]
        elif isinstance(node, ast.Import):
            yield from (name.name.partition(".")[2] for name in node.names if name.name.split(".")[0] == "riacho")


def files(folder: str) -> list[Path]:
    found = sorted((SOURCE / folder).rglob("*.py"))
    assert found, folder
    return found


def test_every_package_of_the_server_half_has_its_place() -> None:
    there = {path.name for path in (SOURCE / "server").iterdir() if (path / "__init__.py").exists()}
    assert there == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    below = ROOMS[: ROOMS.index(room) + 1]
    for file in files(f"server/{room}"):
        for module in imports(file):
            package, _, rest = module.partition(".")
            if package == "server":
                assert rest.split(".")[0] in below, f"{file.relative_to(SOURCE)} imports {module}"
            else:
                allowed = package in ("", *LEAVES) or module == NAMES_OF_CONNECTORS
                assert allowed, f"{file.relative_to(SOURCE)} imports {module}"


def test_sql_text_knows_no_plans_and_state_knows_no_spark() -> None:
    for file in [*files("server/sql"), *files("server/state")]:
        assert "protos" not in imports(file), file.relative_to(SOURCE)


def test_leaves_import_only_leaves() -> None:
    for leaf in LEAVES:
        for file in files(leaf) if (SOURCE / leaf).is_dir() else [SOURCE / f"{leaf}.py"]:
            assert {module.split(".")[0] for module in imports(file)} <= {"", *LEAVES}, file.relative_to(SOURCE)


def test_connectors_import_only_leaves_and_each_other() -> None:
    for file in files("connectors"):
        for module in imports(file):
            assert module.split(".")[0] in ("", "connectors", *LEAVES), f"{file.relative_to(SOURCE)} imports {module}"


def test_the_server_half_is_met_at_spark_connect() -> None:
    outside = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in ("server", "testing")]
    inside = {
        str(path.relative_to(SOURCE)) for path in outside for module in imports(path) if module.startswith("server")
    }
    assert inside == INTO_THE_SERVER


def test_pipelines_of_users_import_nothing_of_riacho_but_each_other() -> None:
    """They travel to Spark clusters as they are."""
    for file in files("pipelines"):
        for module in imports(file):
            assert module.split(".")[0] in ("", "pipelines"), f"{file.relative_to(SOURCE)} imports {module}"


OF_THE_ENGINE = frozenset({"cli/up.py", "server/connect/backend.py", "server/connect/server.py"})
"""What starts the engine and puts the server together; everything else knows `engine.base`."""


def test_nothing_else_knows_which_engine_it_is() -> None:
    outside = [path for path in SOURCE.rglob("*.py") if not path.is_relative_to(SOURCE / "server" / "engine" / "sail")]
    knowing = {
        str(path.relative_to(SOURCE))
        for path in outside
        if any(module.startswith("server.engine.sail") for module in imports(path))
    }
    assert knowing == OF_THE_ENGINE
    talking = {str(path.relative_to(SOURCE)) for path in outside if re.search(r"\bSail\b", path.read_text())}
    assert not talking
