"""A project: a folder with a `spark-pipeline.yml`, and how riacho runs it on a warehouse.

PROJECT/spark-pipeline.yml     the specification that Spark's own command reads, too
PROJECT/transformations/       the definitions it names
PROJECT/setup.sql              statements to run before, such as CREATE DATABASE; may be missing
PROJECT/queries/*.sql          what to ask afterwards (see `answers.py`); may be missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from riacho.cli.failures import CommandError
from riacho.server.sql.tokens import split_statements
from riacho.storage import Place

if TYPE_CHECKING:
    from pyspark.pipelines.cli import PipelineSpec

SPEC_NAMES = ("spark-pipeline.yml", "spark-pipeline.yaml")
STATE_FOLDER = "_pipelines"
"""Where in a warehouse the checkpoints of pipelines lie; what begins with `_` is no table."""


def find_spec(project: Path) -> Path:
    """The specification in the folder `project`, or `project` itself if it is the file. Raises CommandError."""
    if project.is_file():
        return project
    if not project.is_dir():
        raise CommandError(f"there is no folder {project}", "give the folder of a project, such as systems/telecom")
    found = [project / name for name in SPEC_NAMES if (project / name).is_file()]
    if not found:
        raise CommandError(f"no {SPEC_NAMES[0]} in {project}", "`riacho init NAME` makes a project")
    if len(found) > 1:
        raise CommandError(f"{project} has both {' and '.join(SPEC_NAMES)}", "keep one of them")
    return found[0]


def load_spec(path: Path, confs: Mapping[str, str], warehouse: Place | None) -> PipelineSpec:
    """The specification with `confs` set over its own, and its storage moved below `warehouse`, if there is one.

    Checkpoints then live and die with the tables that they belong to. Raises CommandError, and what PySpark raises
    about a specification that is not valid.
    """
    import yaml
    from pyspark.pipelines.cli import unpack_pipeline_spec

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise CommandError(f"{path} is not valid YAML: {error}", "fix it at that place") from error
    if not isinstance(written, dict):
        raise CommandError(f"{path} contains no specification", "write at least `name:`, `storage:` and `libraries:`")
    if warehouse is not None and "name" in written:
        written["storage"] = (warehouse.absolute() / STATE_FOLDER / str(written["name"])).as_uri()
    spec = unpack_pipeline_spec(written)
    # Not `replace`: it would read the patterns of `libraries` a second time, and refuse what it made of them.
    return unpack_pipeline_spec({**written, "configuration": {**spec.configuration, **confs}})


def parse_confs(assignments: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` words as a mapping. Raises BadParameter."""
    pairs = [assignment.partition("=") for assignment in assignments]
    for (key, equals, _), assignment in zip(pairs, assignments, strict=True):
        if not key or not equals:
            raise typer.BadParameter(f"{assignment!r} sets nothing: write KEY=VALUE", param_hint="--conf")
    return {key.strip(): value for key, _, value in pairs}


def setup_statements(project: Path) -> list[str]:
    """The statements of `setup.sql`, in order; none if there is no such file."""
    script = project / "setup.sql"
    return split_statements(script.read_text(encoding="utf-8")) if script.is_file() else []
