"""What killed writers left in a table's staging folder, while others write to it."""

from __future__ import annotations

import os
from pathlib import Path

from riacho.server.delta.files import STAGING, remove_stale_staging

DAY_S = 24 * 3600.0


def test_only_old_leftovers_are_removed(tmp_path: Path) -> None:
    for name, written_s in (("old", 0), ("new", DAY_S)):
        folder = tmp_path / STAGING / name
        folder.mkdir(parents=True)
        os.utime(folder, (written_s, written_s))
    remove_stale_staging(tmp_path, DAY_S, 1.5 * DAY_S)
    assert [each.name for each in (tmp_path / STAGING).iterdir()] == ["new"]


def test_what_another_writer_has_just_removed_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / STAGING).mkdir()
    # Listed, and not there when one looks: as a folder that is removed between the two.
    (tmp_path / STAGING / "gone").symlink_to(tmp_path / "nowhere")
    remove_stale_staging(tmp_path, DAY_S, 1.5 * DAY_S)
