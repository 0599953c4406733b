"""A test's fingerprint: a hash of all text that its outcome on Spark can depend on.

That is the test's own text and marks, the values of its parameters, the fixtures it asks for, and whatever these use
of the modules of the project, through as many helpers as it takes. Not in it: comments outside of these, other tests
of the same file, and the marks that only speak of riacho. The grain is the statement of a module: a class counts as a
whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.record.sources import Definition, Function, Imported, Source, used

LENGTH = 16
# They start servers. What of their text decides how Spark answers is part of the versions.
SERVER_FIXTURES = frozenset({"server", "start_server"})
# Marks that change nothing on Spark: a gap of riacho's that closes is no reason to ask Spark again.
OTHER_MARKS = frozenset({"parametrize", "riacho_gap", "riacho_only", "spark_only", "timeout"})
# Values whose `repr` is all there is to them.
PLAIN = (str, bytes, int, float, bool, type(None))


class Fingerprints:
    """Fingerprints of the tests of one checkout. `roots` are the folders that its modules are imported from."""

    def __init__(self, roots: Iterable[Path], versions: str) -> None:
        self._roots = [root.resolve() for root in roots]
        self._versions = versions
        self._sources: dict[Path, Source | None] = {}
        self._modules: dict[str, Source | None] = {}

    def of(self, item: pytest.Function) -> str:
        """The fingerprint of a test with its parameters."""
        closure = _Closure(self)
        own = [*_marks(item), *self._test(item, closure)]
        for fixture in _fixtures(item):
            self._fixture(fixture, closure)
        parts = [self._versions, *own, *sorted(closure.parts)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:LENGTH]

    def source(self, path: Path) -> Source | None:
        """The module in a file, or None for one that is not the project's."""
        if path not in self._sources:
            whole = path.resolve()
            inside = [whole.relative_to(root).parts for root in self._roots if whole.is_relative_to(root)]
            # An environment in the checkout (`.venv`) holds other people's modules, wherever it lies.
            ours = any(not part.startswith(".") for parts in inside for part in parts[:1])
            self._sources[path] = Source.read(whole) if ours else None
        return self._sources[path]

    def module(self, name: str) -> Source | None:
        """The module of a dotted name, or None for one that is not the project's."""
        if name not in self._modules:
            places = [root.joinpath(*name.split(".")) for root in self._roots]
            files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
            found = next((file for file in files if file.is_file()), None)
            self._modules[name] = None if found is None else self.source(found.resolve())
        return self._modules[name]

    def place(self, source: Source) -> str:
        """A file's name that is the same in every checkout."""
        root = next(root for root in self._roots if source.path.is_relative_to(root))
        return source.path.relative_to(root).as_posix()

    def _test(self, item: pytest.Function, closure: _Closure) -> Iterator[str]:
        """The test's own text and its parameters; what these use goes into `closure`."""
        source = self.source(item.path)
        assert source is not None, f"{item.path} is not of this project"
        function, owner = source.find(".".join([*_classes(item), item.originalname]))
        if function is None:  # made by other means than a `def`: the whole module then
            closure.whole(source)
            yield repr(_parameters(item))
            return
        yield source.segment(function)
        names = used(*function.body, function.args)
        if owner is not None:
            names |= used(*owner.bases)
            rest = [node for node in owner.body if not (isinstance(node, Function) and node.name.startswith("test"))]
            for definition in [source.definition(node) for node in rest]:
                names |= definition.uses
                yield definition.text
        parameters = _parameters(item)
        plain = all(_is_plain(value) for value in parameters.values())
        yield repr(sorted(parameters.items())) if plain else item.name
        if not plain:
            names |= {"pytestmark"}
        for decorator in [*function.decorator_list, *(owner.decorator_list if owner else [])]:
            text = source.segment(decorator)
            if not text.startswith("pytest.mark.") or (text.startswith("pytest.mark.parametrize") and not plain):
                names |= used(decorator)
                yield text
        closure.names(source, names)

    def _fixture(self, function: Callable[..., Any], closure: _Closure) -> None:
        source = self.source(Path(function.__code__.co_filename))
        if source is not None:
            name = function.__qualname__.split(".")[0]
            if name in source.definitions:
                closure.name(source, name)
            else:
                closure.whole(source)


@dataclass(frozen=True)
class _Key:
    """What has been looked at, so that helpers that use each other come to an end."""

    path: Path
    name: str


class _Closure:
    """What some names mean: the text behind them and behind the names in that text, and so on."""

    def __init__(self, project: Fingerprints) -> None:
        self._project = project
        self._seen: set[_Key] = set()
        self.parts: set[str] = set()

    def names(self, source: Source, names: Iterable[str]) -> None:
        for name in names:
            self.name(source, name)

    def name(self, source: Source, name: str) -> None:
        """Take in what a name means in a module: nothing for one that the module does not define."""
        pending = [(source, name)]
        while pending:
            where, what = pending.pop()
            key = _Key(where.path, what)
            if key in self._seen:
                continue
            self._seen.add(key)
            if imported := where.imports.get(what):
                self.parts.add(f"{what} = {imported.module}.{imported.name}")
                pending += self._imported(imported)
            for star in (imported for name, imported in where.imports.items() if name.startswith("*")):
                pending += self._imported(star)
            # The statements that bind nothing may bear on any name of the module.
            for definition in [*where.definitions.get(what, []), *where.definitions.get("", [])]:
                self._take(where, definition)
                pending += [(where, use) for use in definition.uses]

    def whole(self, source: Source) -> None:
        """Take in all of a module."""
        self.names(source, [*source.definitions, *source.imports])

    def _take(self, source: Source, definition: Definition) -> None:
        self.parts.add(f"{self._project.place(source)}: {definition.text}")

    def _imported(self, imported: Imported) -> Iterator[tuple[Source, str]]:
        """Where to look on for what is imported, in the modules of the project."""
        if imported.name is not None and (inner := self._project.module(f"{imported.module}.{imported.name}")):
            yield from ((inner, name) for name in [*inner.definitions, *inner.imports])
            return
        module = self._project.module(imported.module)
        if module is None:
            return
        if imported.name in (None, "*"):
            yield from ((module, name) for name in [*module.definitions, *module.imports])
        else:
            assert imported.name is not None
            yield module, imported.name


def _classes(item: pytest.Function) -> list[str]:
    return [node.name for node in item.listchain() if isinstance(node, pytest.Class)]


def _fixtures(item: pytest.Function) -> Iterator[Callable[..., Any]]:
    """The functions of the fixtures that a test asks for, directly or not, and of those that these replace."""
    definitions: Mapping[str, Iterable[Any]] = item._fixtureinfo.name2fixturedefs
    for name, candidates in definitions.items():
        if name not in SERVER_FIXTURES:
            for candidate in candidates:
                yield inspect.unwrap(candidate.func)


def _marks(item: pytest.Function) -> list[str]:
    marks = (mark for mark in item.iter_markers() if mark.name not in OTHER_MARKS)
    return sorted(f"{mark.name}{mark.args}{sorted(mark.kwargs.items())}" for mark in marks)


def _parameters(item: pytest.Function) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return {} if callspec is None else {k: v for k, v in callspec.params.items() if k not in SERVER_FIXTURES}


def _is_plain(value: Any) -> bool:
    """Whether a value's `repr` tells all of it: data, and no function."""
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return all(_is_plain(part) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return all(field.repr and _is_plain(getattr(value, field.name)) for field in fields)
    return isinstance(value, PLAIN) or type(value).__module__ in ("datetime", "decimal")
