"""What happens to a file after its rows are committed: nothing, removal, or a move to an archive (`cleanSource`).

Cleaning is done at best effort: a file that cannot be moved or removed stays where it is, with a warning.
Source: `FileStreamSource.FileStreamSourceCleaner`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from riacho.errors import IllegalArgumentError, StorageError
from riacho.options import Options
from riacho.paths import qualified
from riacho.server.streaming.sources.globs import glob_expression
from riacho.storage import Place, move, place_at, place_of

_log = logging.getLogger(__name__)

Clean: TypeAlias = Callable[[str], None]


def cleaner(options: Options, source_path: str) -> Clean | None:
    """What to do with the path of a committed file, or None. Raises IllegalArgumentError for unsound options."""
    mode = options.text("cleanSource").lower()
    if mode == "off":
        return None
    if mode == "delete":
        return _removed
    if mode != "archive":
        raise IllegalArgumentError(
            f"Invalid mode for clean source option Some({options.text('cleanSource')}). "
            "Must be one of ARCHIVE,DELETE,OFF"
        )
    archive = options.maybe("sourceArchiveDir")
    if archive is None:
        raise IllegalArgumentError("Archive mode must be used with 'sourceArchiveDir' option.")
    folder, source = place_of(archive), place_of(source_path)
    if _storage(folder) != _storage(source):
        raise IllegalArgumentError(
            "Base archive path is located on a different file system than the source files. source path: "
            f"{qualified(source)} / base archive path: {qualified(folder)}"
        )
    if _could_match(folder, source):
        raise IllegalArgumentError(
            "requirement failed: Base archive path cannot be set to the path where archived path can possibly match "
            "with source pattern. Ensure the base archive path doesn't match with source pattern in depth, where the "
            "depth is minimum of depth on both paths."
        )
    return lambda path: _moved(path, folder)


def _storage(place: Place) -> str:
    """What tells a disk, or a bucket, from another."""
    return "" if isinstance(place, Path) else f"{place.kind}:{place.bucket}"


def _could_match(folder: Place, source: Place) -> bool:
    """Whether archived files could be taken for new source files."""
    return all(
        glob_expression(pattern).fullmatch(name)
        for pattern, name in zip(source.parts[1:], folder.parts[1:], strict=False)
    )


def _removed(path: str) -> None:
    try:
        place_at(path).unlink()
    except (OSError, StorageError) as error:
        _log.warning("Could not remove the source file %s: %s", path, error)


def _moved(path: str, folder: Place) -> None:
    source = place_at(path)
    target = folder.joinpath(*source.parts[1:])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        move(source, target)
    except (OSError, StorageError) as error:
        _log.warning("Could not archive the source file %s to %s: %s", path, target, error)
