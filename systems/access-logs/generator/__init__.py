"""Accesses to a video platform, for `riacho generate access-logs`: seeded, repeatable, vectorised."""

from __future__ import annotations

from pathlib import Path

from riacho.cli.systems import START, Destination, shown

from .accesses import AccessOptions
from .send import generate

__all__ = ["ABOUT", "EXAMPLES", "TARGET", "WORDS", "Options", "generate"]

ABOUT = "Users of a video platform watch films, series and documentaries: one event for each access."
EXAMPLES = """[bold]Examples[/]
  riacho generate access-logs                                        [dim]to the ingest server on this machine[/]
  riacho generate access-logs http://host:8089 --rate 100            [dim]faster, to another[/]
  riacho generate access-logs mongodb                                [dim]to MongoDB at MONGODB_URI[/]
  riacho generate access-logs --burst 2000 --burst-after 30          [dim]with a bot attack[/]
  riacho generate access-logs accesses --count 100000 --no-wait      [dim]files, at once[/]
"""


def _next_command(target: str) -> str:
    """How to run the system on what was sent."""
    system = shown(Path(__file__).parents[1])
    if target.startswith(("http://", "https://")):
        return f"riacho run {system}"
    if target.startswith("mongodb"):
        return f"riacho run {system} --profile services"
    return f"riacho ingest send accesses {target}/*.json"


TARGET = Destination(
    metavar="TARGET",
    help="Where events go: an ingest server (http://HOST:PORT), MongoDB (mongodb://…, or mongodb for MONGODB_URI), or "
    "a folder.",
    default="http://127.0.0.1:8089",
    unit="part",
    to="to",
    next_command=_next_command,
)
Options = AccessOptions


WORDS = {"start": START}
