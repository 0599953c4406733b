"""Gives folders names that the engine can read.

The engine interprets a blank, a `%` or a letter such as `ç` in the path of a Delta table as part of a URL and does not
find the table (Sail 0.7.2). It follows symbolic links, so such a folder gets a link with a plain name, in a folder of
this process.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from riacho.identifiers import quote_if_needed
from riacho.paths import path_in_name
from riacho.protos import pb
from riacho.server.plan.walk import transform, walk
from riacho.server.sql.references import respelled

_PLAIN = re.compile(r"[A-Za-z0-9/._=+&,@~-]*")


def plain_text(path: str) -> bool:
    """Whether the engine takes a path literally."""
    return _PLAIN.fullmatch(path) is not None


def plain_paths(relation: pb.Relation) -> pb.Relation:
    """`relation` with plain names for the Delta tables it reads or registers; the same object if nothing changes."""
    return transform(relation, _plain) if any(map(_is_odd, walk(relation))) else relation


def _is_odd(node: pb.Relation) -> bool:
    match node.WhichOneof("rel_type"):
        case "read" if not node.read.is_streaming:
            source = node.read.data_source
            return source.format.lower() == "delta" and not all(map(plain_text, source.paths))
        case "catalog":
            return not plain_text(node.catalog.create_table.path)
        case "sql":
            return _plain_names(node.sql.query) != node.sql.query
        case _:
            return False


def _plain(node: pb.Relation) -> pb.Relation:
    """The node, modified in place."""
    if not _is_odd(node):
        return node
    if node.HasField("sql"):
        node.sql.query = _plain_names(node.sql.query)
    elif node.HasField("catalog"):
        node.catalog.create_table.path = str(plain_path(Path(node.catalog.create_table.path)))
    else:
        node.read.data_source.paths[:] = [str(plain_path(Path(path))) for path in node.read.data_source.paths]
    return node


def _plain_names(text: str) -> str:
    """SQL text with plain names for the paths of Delta tables."""

    def plain(parts: tuple[str, ...]) -> str | None:
        named = path_in_name(parts)
        if named is None or named[0] != "delta" or plain_text(named[1]):
            return None
        return f"delta.{quote_if_needed(str(plain_path(Path(named[1]))))}"

    return respelled(text, plain) if "`" in text else text


def plain_path(folder: Path) -> Path:
    """`folder`, or a link to it that the engine can read. `spool.remove_leftovers` removes the links."""
    if plain_text(str(folder)):
        return folder
    links = Path(tempfile.gettempdir()) / f"riacho-{os.getpid()}-links"
    link = links / hashlib.sha256(str(folder).encode()).hexdigest()[:32]
    if not link.is_symlink():
        links.mkdir(exist_ok=True)
        try:
            link.symlink_to(folder, target_is_directory=True)
        except FileExistsError:
            return link  # another thread created it first
    return link
