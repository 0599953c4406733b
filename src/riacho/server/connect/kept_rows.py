"""Rows of a streaming batch that a temporary view goes on reading when the batch is over.

A batch's rows lie in files that go with the batch. A view made of it in `foreachBatch` reads those files, and so do
views built on that one; they would be empty a moment later. So the files get a second name (a hard link: no row is
copied), which lives until the last view that reads it is replaced or dropped, or its session ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Collection, Hashable, Iterable
from itertools import count
from pathlib import Path

from riacho.errors import SparkGeneralError
from riacho.protos import pb
from riacho.server.engine.spool import is_spooled
from riacho.server.plan.names_read import names_read
from riacho.server.plan.walk import transform, walk

Owner = Hashable
"""Whose views: a session's id, or what stands for the views that all sessions share."""


class KeptRows:
    """Of one server. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._read_by: dict[tuple[Owner, str], frozenset[str]] = {}
        """The kept files that each view reads; views that read none are not here."""
        self._folders: dict[Path, Path] = {}
        self._numbers = count()
        self._lock = threading.Lock()

    def keep(self, relation: pb.Relation) -> pb.Relation:
        """`relation` over files that stay, in place of those of a batch; the same object if it reads none.

        To be followed by `note`. Raises SparkGeneralError if the batch is over.
        """
        if not any(_batch_paths(node) for node in walk(relation)):
            return relation
        with self._lock:
            return transform(relation, self._kept)

    def note(self, owner: Owner, view: str, relation: pb.Relation, owners: Collection[Owner]) -> None:
        """A view is made, or made anew. It also reads what the views of `owners` read that its plan names."""
        names = names_read(relation)
        with self._lock:
            files = {path for node in walk(relation) for path in _paths(node) if self._is_kept(path)}
            for (other_owner, other), read in self._read_by.items():
                if other_owner in owners and other in names:
                    files |= read
            self._change({(owner, view): frozenset(files)})

    def forget(self, owner: Owner, view: str | None = None) -> None:
        """A view is gone; None: all of that owner's."""
        with self._lock:
            gone = [key for key in self._read_by if key[0] == owner and view in {None, key[1]}]
            self._change({key: frozenset() for key in gone})

    def _change(self, now: dict[tuple[Owner, str], frozenset[str]]) -> None:
        before = frozenset[str]().union(*(self._read_by.pop(key, frozenset()) for key in now))
        self._read_by.update((key, files) for key, files in now.items() if files)
        for path in before - frozenset[str]().union(*self._read_by.values()):
            Path(path).unlink(missing_ok=True)

    def _kept(self, node: pb.Relation) -> pb.Relation:
        found = _batch_paths(node)
        if not found:
            return node
        kept = pb.Relation()
        kept.CopyFrom(node)
        paths = kept.read.data_source.paths
        for at, path in enumerate(paths):
            if path in found and not self._is_kept(path):
                paths[at] = self._link(Path(path))
        return kept

    def _link(self, path: Path) -> str:
        root = path.parent.parent  # a hard link does not leave its file system
        if root not in self._folders:
            # The owner's pid in the name lets a later start remove what a killed one left behind.
            self._folders[root] = Path(tempfile.mkdtemp(prefix=f"riacho-{os.getpid()}-kept-", dir=root))
        link = self._folders[root] / f"{next(self._numbers)}.arrow"
        try:
            os.link(path, link)
        except FileNotFoundError:
            raise SparkGeneralError(
                "A view cannot be made of a streaming batch that is over. Make it in the function of foreachBatch."
            ) from None
        return str(link)

    def _is_kept(self, path: str) -> bool:
        return Path(path).parent in self._folders.values()


def _paths(node: pb.Relation) -> Iterable[str]:
    if node.WhichOneof("rel_type") != "read" or not node.read.HasField("data_source"):
        return ()
    return node.read.data_source.paths


def _batch_paths(node: pb.Relation) -> set[str]:
    return {path for path in _paths(node) if is_spooled(path)}
