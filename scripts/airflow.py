"""Lay the Airflow that tests run in `.services/airflow/`.

python -m scripts.airflow
"""

from __future__ import annotations

from scripts.venvs import ROOT, lay


def main() -> None:
    lay(ROOT / ".services" / "airflow", ROOT / "requirements" / "airflow.txt", "Airflow")


if __name__ == "__main__":
    main()
