"""Systems: project folders that bring what makes their data and shows them at work. Found here, not contained.

SYSTEM/spark-pipeline.yml   the project that `riacho run` runs (see `project.py`)
SYSTEM/generator/           what writes or sends what its source would: see `Generator`; may be missing
SYSTEM/backtest.py          a series to try rules for anomalies on: see `Backtest`; may be missing
SYSTEM/schedule.py          the steps of a run, for `riacho schedule`: see `SystemSchedule`; may be missing
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
from datetime import UTC, datetime
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any, Protocol, cast

from riacho.cli.failures import CommandError
from riacho.cli.project import SPEC_NAMES
from riacho.storage import Place


class Landed(Protocol):
    """What a generator made and has arrived: `rows` are in it; `damage` says what is wrong with it, if anything is."""

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


@dataclass(frozen=True)
class Destination:
    """Where a generator writes, as its command's only argument. `unit`: what it writes, one of them, such as a file.

    `to` stands before the target in the last line, as in "below landing". `next_command` says how to go on.
    """

    metavar: str
    help: str
    default: str
    unit: str
    to: str
    next_command: Callable[[str], str]


def moment(words: str | None) -> datetime | None:
    """A time in ISO 8601, in UTC where it does not say: for an option `start`. Raises ValueError."""
    if words is None:
        return None
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        raise ValueError(f"start is {words!r}: it must be a time like 2026-01-05T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


START = Words(str | None, "TIME", moment)
"""A generator's option `start`."""


class Generator(Protocol):
    """What `SYSTEM/generator` has: `riacho generate SYSTEM TARGET` is made of it.

    `ABOUT`: one sentence. `EXAMPLES`: an epilog for the help. `TARGET`: the argument. `Options`: a frozen dataclass,
    one option for each field, whose type is `Annotated[type, "help"]`; a name that ends in `_s` is in seconds. It has
    `wait`, False for what is written at once, and raises ValueError for what makes no sense. `WORDS`: fields that are
    not read as they are.
    """

    ABOUT: str
    EXAMPLES: str
    TARGET: Destination
    Options: type[Any]
    WORDS: Mapping[str, Words]

    def generate(self, target: str, options: Any) -> Iterator[Landed]:
        """Write to `target`, piece after piece, giving each when it has arrived. Nothing happens before `next()`.

        Raises SparkError and ValueError for a target that does not take it.
        """


class Demo(Protocol):
    """What `SYSTEM/demo.py` has as `Demo(folder)`: input for a show that can be gone on with, all of it in `folder`.

    `confs`: settings for the pipeline, so that it reads that input. `question`: a statement to try afterwards.
    `continuous`: whether the pipeline keeps running while input comes in, or runs once meanwhile and then again.
    """

    confs: Mapping[str, str]
    continuous: bool
    question: str

    def services(self) -> AbstractContextManager[None]:
        """Stand-ins for services that it needs, there while the block runs."""

    def history(self) -> Iterator[str]:
        """Bring what is there before the pipeline first runs; lines that tell of it."""

    def live(self) -> AbstractContextManager[Callable[[], Iterator[str]]]:
        """Let input come in while the block runs; all has come when it is left. Gives what tells of it then."""


class Backtest(Protocol):
    """What `SYSTEM/backtest.py` has: a series of which it is known when something was wrong, and rules to find it.

    `TIME`, `VALUE`: the names of the series' columns. `RULES`: by name, what gives the rows of a DataFrame with those
    columns that stand out.
    """

    TIME: str
    VALUE: str
    RULES: Mapping[str, Callable[[Any], Any]]

    def series(self, days: int, attacks: int, seed: int) -> Any:
        """An Arrow table with the columns TIME, VALUE and `attack`: the number of the attack, null outside of one."""


@dataclass(frozen=True)
class ScheduleSettings:
    """What a schedule was started with: where the tables are, or the server; the profile."""

    warehouse: Place
    remote: str | None = None
    profile: str | None = None


@dataclass(frozen=True)
class ScheduledTask:
    """A step: `run` takes what the step before gave, None for the first. `told` says for people what it gave."""

    name: str
    run: Callable[[Any], Any]
    told: Callable[[Any], str] = str
    attempts: int = 4


class SystemSchedule(Protocol):
    """What `SYSTEM/schedule.py` has. `EVERY`: how often, unless the user says otherwise, such as `10m`."""

    EVERY: str

    def tasks(self, settings: ScheduleSettings) -> list[ScheduledTask]:
        """The steps of a run, in order."""


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


def shown(system: Path) -> str:
    """The folder of a system as a command on this machine names it."""
    place = system.resolve()
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)


def has_generator(system: Path) -> bool:
    """Whether `riacho generate` can make input for the system in this folder."""
    return (system / "generator" / "__init__.py").is_file()


def load_generator(system: Path) -> Generator:
    """The generator of the system in this folder, which must have one. It loads what makes the data, such as NumPy."""
    return cast("Generator", _load(system, "generator"))


def load_demo(system: Path, folder: Path) -> Demo:
    """The demo of the system in the folder `system`, over `folder`. Raises CommandError if it has none."""
    if not (system / "demo.py").is_file():
        raise CommandError(f"{system} has no demo", "run it with `riacho run`")
    return cast("Demo", _load(system, "demo").Demo(folder))


def load_backtest(system: Path) -> Backtest:
    """The backtest of the system in this folder. Raises CommandError if it has none."""
    if not (system / "backtest.py").is_file():
        raise CommandError(f"{system} has no backtest.py", "systems/access-logs shows how to write one")
    return cast("Backtest", _load(system, "backtest"))


def load_schedule(system: Path) -> SystemSchedule:
    """The schedule of the system in this folder. Raises CommandError if it has none."""
    if not (system / "schedule.py").is_file():
        raise CommandError(f"{system} has no schedule.py", "run its pipeline with `riacho run`")
    return cast("SystemSchedule", _load(system, "schedule"))


def part(system: Path, name: str) -> Any:
    """A module of the system in this folder, such as `generator.source`: for tests of a system."""
    return _load(system, name)


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
