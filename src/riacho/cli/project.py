"""A project: a folder with a `spark-pipeline.yml`, and how riacho runs it on a warehouse.

PROJECT/spark-pipeline.yml     the specification that Spark's own command reads, too
PROJECT/transformations/       the definitions it names
PROJECT/setup.sql              statements to run before, such as CREATE DATABASE; may be missing
PROJECT/queries/*.sql          what to ask afterwards (see `answers.py`); may be missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from riacho.cli.failures import CommandError
from riacho.plan.tokens import split_statements

if TYPE_CHECKING:
    from pyspark.pipelines.cli import PipelineSpec

SPEC_NAMES = ("spark-pipeline.yml", "spark-pipeline.yaml")
_STATE_FOLDER = "_pipelines"


def find_spec(project: Path) -> Path:
    """The specification in the folder `project`, or `project` itself if it is the file. Raises CommandError."""
    if project.is_file():
        return project
    if not project.is_dir():
        raise CommandError(f"there is no folder {project}", "name the folder of a project, such as systems/telecom")
    found = [project / name for name in SPEC_NAMES if (project / name).is_file()]
    if not found:
        raise CommandError(
            f"no {SPEC_NAMES[0]} in {project}", "`python -m pyspark.pipelines.cli init --name NAME` makes a project"
        )
    if len(found) > 1:
        raise CommandError(f"{project} has both {' and '.join(SPEC_NAMES)}", "keep one of them")
    return found[0]


def load_spec(path: Path, confs: Mapping[str, str], warehouse: Path | None) -> PipelineSpec:
    """The specification with `confs` set over its own, and its storage moved below `warehouse`, if there is one.

    Checkpoints then live and die with the tables that they belong to. Raises CommandError, and what PySpark raises
    about a specification that is not valid.
    """
    import yaml
    from pyspark.pipelines.cli import load_pipeline_spec

    try:
        spec = load_pipeline_spec(path)
    except (yaml.YAMLError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise CommandError(f"{path} is not valid YAML: {reason}", "mend it, or compare it with the docs") from error
    storage = spec.storage if warehouse is None else (warehouse.absolute() / _STATE_FOLDER / spec.name).as_uri()
    return replace(spec, storage=storage, configuration={**spec.configuration, **confs})


def parse_confs(assignments: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` words as a mapping. Raises CommandError."""
    pairs = [assignment.partition("=") for assignment in assignments]
    for (key, equals, _), assignment in zip(pairs, assignments, strict=True):
        if not key or not equals:
            raise CommandError(f"{assignment!r} sets nothing", "write --conf KEY=VALUE")
    return {key.strip(): value for key, _, value in pairs}


def setup_statements(project: Path) -> list[str]:
    """The statements of `setup.sql`, in order; none if there is no such file."""
    script = project / "setup.sql"
    return split_statements(script.read_text(encoding="utf-8")) if script.is_file() else []
