"""Profiles of a project, and the environment that its definitions see.

PROJECT/profiles/NAME.yml   `configuration` that differs from that of spark-pipeline.yml: `riacho run --profile NAME`
PROJECT/.env                addresses and secrets, as NAME=VALUE lines; git ignores it
PROJECT/.env.example        what may stand there

A profile has no secrets: it lies in git, and confs are shown. Definitions take those from `os.environ`.
"""

from __future__ import annotations

from pathlib import Path

from dotenv import load_dotenv

from riacho.cli.failures import CommandError
from riacho.errors import IllegalArgumentError
from riacho.yaml_files import document, mapping

FOLDER = "profiles"
ENVIRONMENT = ".env"


def load_environment(project: Path) -> None:
    """Set what the `.env` of the project says, then that of the working folder; what is set already stays."""
    for folder in (project, Path.cwd()):
        load_dotenv(folder / ENVIRONMENT, override=False)


def profile(project: Path, name: str) -> dict[str, str]:
    """The configuration of a profile of the project in this folder. Raises CommandError."""
    path = project / FOLDER / f"{name}.yml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in (project / FOLDER).glob("*.yml")))
        hint = f"there are {known}" if known else f"make {path}, with `configuration:` and what differs"
        raise CommandError(f"{project} has no profile {name}", hint)
    try:
        read = mapping(document(path), str(path), frozenset({"configuration"}))
        configuration = read.get("configuration") or {}
        if not isinstance(configuration, dict):
            raise IllegalArgumentError(f"configuration in {path} must be a mapping, not {configuration!r}")
        wrong = [key for key, value in configuration.items() if not isinstance(value, str)]
        if wrong:
            raise IllegalArgumentError(f"{', '.join(map(str, wrong))} in {path} must be text: put it in quotes")
    except IllegalArgumentError as error:
        raise CommandError(str(error), "fix the file") from error
    return {str(key): value for key, value in configuration.items()}
