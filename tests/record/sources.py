"""What a piece of Python source says by name: the statements that define a name, and the names that each one uses.

Text only: nothing is imported, so it does not matter what has been loaded before, and the answer is the same on every
Python.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Imported:
    """A name that comes from elsewhere; `name` is None for a whole module."""

    module: str
    name: str | None


@dataclass(frozen=True)
class Definition:
    """The text that gives a name its meaning, and the names that this text uses."""

    text: str
    uses: frozenset[str]


@dataclass
class Source:
    """One module of the project."""

    path: Path
    text: str = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Source:
        return cls(path, path.read_text(encoding="utf-8"))

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def _lines(self) -> list[bytes]:
        return [line.encode() for line in self.text.splitlines(keepends=True)]

    def segment(self, node: ast.stmt | ast.expr) -> str:
        """The text of a node, as it was written; `ast.get_source_segment` splits the whole module for each."""
        last = node.end_lineno or node.lineno
        lines = self._lines[node.lineno - 1 : last]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"".join(lines).decode()

    @cached_property
    def imports(self) -> dict[str, Imported]:
        """The names that imports bind, wherever in the module they stand. A star import has a name with a star."""
        found: dict[str, Imported] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.split(".")[0]] = Imported(alias.name, None)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    name = f"*{node.module}" if alias.name == "*" else alias.asname or alias.name
                    found[name] = Imported(node.module, alias.name)
        return found

    @cached_property
    def definitions(self) -> dict[str, list[Definition]]:
        """What the module's own statements bind, also those inside `if`, `try` and `with`, by name.

        Under the empty name: the statements that bind nothing, such as a call; they may do something to the others.
        """
        found: dict[str, list[Definition]] = {}
        for node in _statements(self.tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue  # a docstring
            definition = self.definition(node)
            for name in _bound(node) or [""]:
                found.setdefault(name, []).append(definition)
        return found

    def definition(self, node: ast.stmt | ast.expr) -> Definition:
        """A node's text with its decorators, and what it uses."""
        decorators = node.decorator_list if isinstance(node, Function | ast.ClassDef) else []
        text = "\n".join([*("@" + self.segment(decorator) for decorator in decorators), self.segment(node)])
        return Definition(text, used(node))

    def find(self, qualified: str) -> tuple[Function | None, ast.ClassDef | None]:
        """The function of a name such as `TestCreate.test_twice`, and the class that it stands in."""
        *classes, name = qualified.split(".")
        body: list[ast.stmt] = self.tree.body
        owner: ast.ClassDef | None = None
        for part in classes:
            owner = next((n for n in _statements(body) if isinstance(n, ast.ClassDef) and n.name == part), None)
            if owner is None:
                return None, None
            body = owner.body
        return next((n for n in _statements(body) if isinstance(n, Function) and n.name == name), None), owner


def used(*nodes: ast.AST) -> frozenset[str]:
    """The names that nodes mention, local ones too: to take one too many does no harm."""
    return frozenset(node.id for root in nodes for node in ast.walk(root) if isinstance(node, ast.Name))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a block and of those blocks in it that are no scope of their own."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _statements(node.body)
            yield from _statements(getattr(node, "orelse", []))
            yield from _statements(getattr(node, "finalbody", []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)
        else:
            yield node


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement binds in its module."""
    if isinstance(node, Function | ast.ClassDef):
        return [node.name]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
