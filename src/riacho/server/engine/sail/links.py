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

_PLAIN = re.compile(r"[A-Za-z0-9/._=+&,@~-]*")


def plain_text(path: str) -> bool:
    """Whether a path means to the engine what it says."""
    return _PLAIN.fullmatch(path) is not None


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
