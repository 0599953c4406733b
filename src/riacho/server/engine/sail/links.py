"""Folders by names that the engine can read.

The engine takes a blank, a `%` or a letter such as `ç` in the path of a Delta table for part of a URL and does not find
the table (Sail 0.7.2). It follows symbolic links, so such a folder gets a plain name in a folder of this process.
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
    """Whether a path means to the engine what it says."""
    return _PLAIN.fullmatch(path) is not None


def plain_paths(relation: pb.Relation) -> pb.Relation:
    """`relation` with Delta tables, and those that it registers, by plain names; the same object if they have them."""
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
    """The node, changed in place."""
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
    """SQL text with paths of Delta tables by plain names."""

    def plain(parts: tuple[str, ...]) -> str | None:
        named = path_in_name(parts)
        if named is None or named[0] != "delta" or plain_text(named[1]):
            return None
        return f"delta.{quote_if_needed(str(plain_path(Path(named[1]))))}"

    return respelled(text, plain) if "`" in text else text


def plain_path(folder: Path) -> Path:
    """`folder` itself, or a link to it, as the engine can read it. Links go with `spool.remove_leftovers`."""
    if plain_text(str(folder)):
        return folder
    links = Path(tempfile.gettempdir()) / f"riacho-{os.getpid()}-links"
    link = links / hashlib.sha256(str(folder).encode()).hexdigest()[:32]
    if not link.is_symlink():
        links.mkdir(exist_ok=True)
        try:
            link.symlink_to(folder, target_is_directory=True)
        except FileExistsError:
            return link  # another thread was first
    return link
