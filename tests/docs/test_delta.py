"""What `docs/delta.md` says of maintenance is what the code does."""

from __future__ import annotations

from pathlib import Path

from riacho.server.delta.maintenance import MaintenancePolicy

PAGE = (Path(__file__).parent.parent.parent / "docs" / "delta.md").read_text(encoding="utf-8")


def test_the_policy_is_the_one_described() -> None:
    policy = MaintenancePolicy()
    assert f"every {policy.interval_versions} versions" in PAGE
    assert f"{policy.compact_after_files} files below {policy.small_file_bytes >> 20} MiB" in PAGE
    assert f"files of up to {policy.target_file_bytes >> 20} MiB" in PAGE
