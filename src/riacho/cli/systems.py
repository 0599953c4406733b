"""Systems: project folders that bring what makes their data and shows them at work. Found here, not contained.

SYSTEM/spark-pipeline.yml   the project that `riacho run` runs (see `project.py`)
SYSTEM/generator/           what writes the files that its source would: see `Generator`; may be missing
SYSTEM/demo.py              how `riacho demo` shows it: see `Demo`; may be missing

A system is named by its folder, or by that folder's name if it lies in `systems/`: below the working folder, or in the
checkout that this riacho runs from.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any, Protocol, cast

from riacho.cli.failures import CommandError
from riacho.cli.project import SPEC_NAMES


class Landed(Protocol):
    """A file that a generator has written: `rows` went into it; `damage` says what is wrong with it, if anything is."""

    @property
    def rows(self) -> int: ...

    @property
    def damage(self) -> str | None: ...

    def __str__(self) -> str:
        """One line for people, without the damage."""


@dataclass(frozen=True)
class Words:
    """A setting that is words on the command line (`kind`, shown as `metavar`) and `read` into what the options hold.

    `read` raises ValueError that names the setting, its value and what it may be.
    """

    kind: Any
    metavar: str
    read: Callable[[Any], Any]


class Generator(Protocol):
    """What `SYSTEM/generator` has: `riacho generate SYSTEM DIRECTORY` is made of it.

    `ABOUT`: one sentence. `EXAMPLES`: an epilog for the help. `Options`: a frozen dataclass, one option for each field,
    whose type is `Annotated[type, "help"]`; a name that ends in `_s` is in seconds. It has `wait`, False for files that
    are written at once, and raises ValueError for what makes no sense. `WORDS`: fields that are not read as they are.
    """

    ABOUT: str
    EXAMPLES: str
    Options: type[Any]
    WORDS: Mapping[str, Words]

    def generate(self, directory: Path, options: Any) -> Iterator[Landed]:
        """Write below `directory`, file after file, giving each when it lies there. Nothing happens before `next()`."""


class Demo(Protocol):
    """What `SYSTEM/demo.py` has as `Demo(folder)`: input for a show that can be gone on with, all of it in `folder`.

    `confs`: settings for the pipeline, so that it reads that input. `question`: a statement to try afterwards.
    """

    confs: Mapping[str, str]
    question: str

    def history(self) -> Iterator[str]:
        """Bring what is there before the pipeline first runs; lines that tell of it."""

    def live(self) -> AbstractContextManager[Callable[[], Iterator[str]]]:
        """Let input come in while the block runs; all has come when it is left. Gives what tells of it then."""


def find(name: str) -> Path:
    """The folder of a system, by its name or its path. Raises CommandError."""
    for folder in (Path(name), *(home / name for home in _homes())):
        if is_project(folder):
            return folder
    known = ", ".join(names())
    way_out = f"one of {known}, or the folder of a system" if known else "give the folder of a system"
    raise CommandError(f"there is no system {name}", way_out)


def names() -> list[str]:
    """The systems that can be named without a path, in order."""
    found = {folder.name for home in _homes() if home.is_dir() for folder in home.iterdir() if is_project(folder)}
    return sorted(found)


def is_project(folder: Path) -> bool:
    """Whether there is a `spark-pipeline.yml`."""
    return any((folder / name).is_file() for name in SPEC_NAMES)


def has_generator(system: Path) -> bool:
    """Whether `riacho generate` can write files for the system in this folder."""
    return (system / "generator" / "__init__.py").is_file()


def load_generator(system: Path) -> Generator:
    """The generator of the system in this folder, which must have one. It loads what makes the data, such as NumPy."""
    return cast("Generator", _load(system, "generator"))


def load_demo(system: Path, folder: Path) -> Demo:
    """The demo of the system in the folder `system`, over `folder`. Raises CommandError if it has none."""
    if not (system / "demo.py").is_file():
        raise CommandError(f"{system} has no demo", "run it with `riacho run`")
    return cast("Demo", _load(system, "demo").Demo(folder))


def _homes() -> tuple[Path, Path]:
    return Path("systems"), Path(__file__).parents[3] / "systems"


def _load(system: Path, part: str) -> Any:
    """Import a part of a system as a module of a package that is its folder, wherever that lies."""
    place = system.resolve()
    package = f"riacho_system_{place.name}_{hashlib.sha256(bytes(place)).hexdigest()[:8]}"
    if package not in sys.modules:
        spec = ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
        sys.modules[package] = module_from_spec(spec)
    return import_module(f"{package}.{part}")
