"""Quotes of a market that moves believably, for `riacho generate crypto`: seeded and repeatable."""

from __future__ import annotations

from pathlib import Path

from riacho.cli.systems import START, Destination, shown

from .quotes import QuoteOptions, generate

__all__ = ["ABOUT", "EXAMPLES", "TARGET", "WORDS", "Options", "generate"]

ABOUT = "Quotes of 25 coins, as the collector sends them: prices that move like a market's."
EXAMPLES = """[bold]Examples[/]
  riacho generate crypto                                  [dim]to the queue on this machine[/]
  riacho generate crypto kafka --rate 500                 [dim]to Kafka at KAFKA_BOOTSTRAP_SERVERS[/]
  riacho generate crypto quotes --count 9000 --no-wait    [dim]files, two hours at once[/]
"""
Options = QuoteOptions


def _next_command(target: str) -> str:
    """How to run the system on what was sent."""
    system = shown(Path(__file__).parents[1])
    if target.startswith(("http://", "https://")):
        return f"riacho run {system}"
    return (
        f"riacho run {system} --profile services" if target == "kafka" else f"riacho ingest send quotes {target}/*.json"
    )


TARGET = Destination(
    metavar="TARGET",
    help="Where quotes go: an ingest server (http://HOST:PORT), kafka (at KAFKA_BOOTSTRAP_SERVERS), or a folder.",
    default="http://127.0.0.1:8089",
    unit="delivery",
    to="to",
    next_command=_next_command,
)


WORDS = {"start": START}
