"""The stand-in for CoinGecko as a program: `python systems/crypto/standin.py [PORT] [SPEED]`. Ctrl-C stops it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from riacho.cli import systems

market: Any = systems.part(Path(__file__).parent, "generator.market")
standin: Any = systems.part(Path(__file__).parent, "generator.standin")

PORT = 8099
REQUESTS_A_MINUTE = 30


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    speed = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    api = standin.StandIn(market.Market(), standin.Faults(limit=REQUESTS_A_MINUTE), speed)
    with standin.serving(api, port) as address:
        print(f"{address}/coins/markets?vs_currency=usd", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
