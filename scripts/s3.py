"""Lay the object storage that tests run against in `.services/s3/`: Moto's server, which speaks S3 from memory.

python -m scripts.s3
"""

from __future__ import annotations

from scripts.venvs import ROOT, lay


def main() -> None:
    lay(ROOT / ".services" / "s3", ROOT / "requirements" / "s3.txt", "Moto")


if __name__ == "__main__":
    main()
