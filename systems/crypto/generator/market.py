"""A market that moves believably and is the same for the same seed: any coin's quote at any time, without a history.

A price is its coin's usual level times noise of many periods, from ten seconds to three months, each with a swing that
grows with the root of the period, as that of a random walk does. So a minute is calm, a day is not, and any moment can
be computed by itself. A coin's volume follows how much its price has moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Coin:
    """`price` in US dollars, `supply` in coins, `swing`: by how much a day moves it, as a share."""

    id: str
    symbol: str
    name: str
    price: float
    supply: float
    swing: float


COINS: Final = (
    Coin("bitcoin", "btc", "Bitcoin", 92_000, 19.9e6, 0.02),
    Coin("ethereum", "eth", "Ethereum", 3_300, 120.6e6, 0.03),
    Coin("tether", "usdt", "Tether", 1.0, 184e9, 0.0004),
    Coin("ripple", "xrp", "XRP", 2.2, 60e9, 0.04),
    Coin("binancecoin", "bnb", "BNB", 860, 137.7e6, 0.025),
    Coin("solana", "sol", "Solana", 140, 556e6, 0.045),
    Coin("usd-coin", "usdc", "USDC", 1.0, 76e9, 0.0003),
    Coin("tron", "trx", "TRON", 0.28, 94.6e9, 0.02),
    Coin("dogecoin", "doge", "Dogecoin", 0.15, 152e9, 0.05),
    Coin("cardano", "ada", "Cardano", 0.43, 35.8e9, 0.045),
    Coin("bitcoin-cash", "bch", "Bitcoin Cash", 540, 19.9e6, 0.035),
    Coin("chainlink", "link", "Chainlink", 13.4, 697e6, 0.045),
    Coin("hyperliquid", "hype", "Hyperliquid", 34, 270e6, 0.06),
    Coin("stellar", "xlm", "Stellar", 0.25, 32.2e9, 0.04),
    Coin("monero", "xmr", "Monero", 410, 18.4e6, 0.035),
    Coin("sui", "sui", "Sui", 1.6, 3.7e9, 0.06),
    Coin("avalanche-2", "avax", "Avalanche", 14.5, 429e6, 0.05),
    Coin("litecoin", "ltc", "Litecoin", 85, 76.6e6, 0.035),
    Coin("hedera-hashgraph", "hbar", "Hedera", 0.14, 42.4e9, 0.05),
    Coin("shiba-inu", "shib", "Shiba Inu", 0.0000086, 589e12, 0.055),
    Coin("polkadot", "dot", "Polkadot", 2.3, 1.6e9, 0.045),
    Coin("uniswap", "uni", "Uniswap", 6.1, 630e6, 0.05),
    Coin("aave", "aave", "Aave", 180, 15.2e6, 0.05),
    Coin("pepe", "pepe", "Pepe", 0.0000046, 420e12, 0.07),
    Coin("cosmos", "atom", "Cosmos Hub", 2.5, 479e6, 0.045),
)
UNITS: Final = {"usd": 1.0, "brl": 5.35, "eur": 0.86}
"""What a dollar is worth in each currency that can be asked for."""
PERIODS_S: Final = tuple(10.0 * 2**step for step in range(20))
DAY_S: Final = 86_400.0
STABLE: Final = 0.001
"""A coin with a smaller swing is held to its price."""
UPDATE_S: Final = 20.0
"""How often a coin's quote changes: what is asked for twice within that time is the same."""


class Market:
    """All coins, from one seed."""

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed
        self._prices = np.array([coin.price for coin in COINS])
        swings = np.array([coin.swing for coin in COINS])
        roots = np.sqrt(np.array(PERIODS_S) / DAY_S)
        # What is held to a dollar does not wander off in the course of weeks.
        stable = swings[:, None] < STABLE
        self._swings = swings[:, None] * np.where(stable, np.minimum(roots, 1.0), roots[None, :]) / np.sqrt(2)
        self._offsets = np.random.default_rng([seed, 9]).uniform(0, UPDATE_S, len(COINS))

    def updated_s(self, now_s: float) -> Floats:
        """When each coin's quote was made that holds at `now_s`, in seconds since 1970."""
        updated: Floats = np.round(np.floor((now_s - self._offsets) / UPDATE_S) * UPDATE_S + self._offsets, 3)
        return updated

    def prices(self, at_s: Floats) -> Floats:
        """The price of each coin in US dollars at its own time in `at_s`."""
        found: Floats = self._prices * np.exp(self._noise(at_s))
        return found

    def _noise(self, at_s: Floats) -> Floats:
        """The logarithm of price over usual price, by coin: noise of all periods, smooth between its knots."""
        total = np.zeros(len(COINS))
        coins = np.arange(len(COINS))
        for step, period in enumerate(PERIODS_S):
            place = at_s / period
            knot = np.floor(place).astype(np.int64)
            share = place - knot
            smooth = share * share * (3 - 2 * share)
            left, right = self._drawn(coins, step, knot), self._drawn(coins, step, knot + 1)
            total += self._swings[:, step] * (left * (1 - smooth) + right * smooth)
        return total

    def _drawn(self, coins: Ints, step: int, knot: Ints) -> Floats:
        """A number between -1.7 and 1.7 for each coin, period and knot: a hash, so that it can be had at any time."""
        mixed = (coins.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= (knot.astype(np.uint64) + np.uint64(step)) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= np.uint64(self._seed * 1_000_003 + step * 7_919)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
        drawn: Floats = (mixed >> np.uint64(11)).astype(np.float64) / 2**53 * 2 * np.sqrt(3) - np.sqrt(3)
        return drawn

    def quotes(self, now_s: float, currency: str = "usd") -> list[dict[str, Any]]:
        """What CoinGecko's `/coins/markets` would say of every coin at a moment, the largest first.

        Raises KeyError for a currency that is not in `UNITS`.
        """
        unit = UNITS[currency]
        at = self.updated_s(now_s)
        price, before = self.prices(at) * unit, self.prices(at - DAY_S) * unit
        path = np.stack([self.prices(at - hours * 3_600.0) * unit for hours in range(25)])
        high, low = path.max(axis=0), path.min(axis=0)
        supply = np.array([coin.supply for coin in COINS])
        cap = price * supply
        volume = cap * (0.02 + 1.5 * (high - low) / price)
        found: list[dict[str, Any]] = []
        for number in np.argsort(-cap):
            coin = COINS[number]
            change = price[number] - before[number]
            found.append(
                {
                    "id": coin.id,
                    "symbol": coin.symbol,
                    "name": coin.name,
                    "image": f"https://coin-images.coingecko.com/coins/images/{number + 1}/large/{coin.id}.png",
                    "current_price": _rounded(price[number]),
                    "market_cap": int(cap[number]),
                    "market_cap_rank": len(found) + 1,
                    "fully_diluted_valuation": int(cap[number]),
                    "total_volume": int(volume[number]),
                    "high_24h": _rounded(high[number]),
                    "low_24h": _rounded(low[number]),
                    "price_change_24h": _rounded(change),
                    "price_change_percentage_24h": round(float(100 * change / before[number]), 5),
                    "market_cap_change_24h": int(change * coin.supply),
                    "market_cap_change_percentage_24h": round(float(100 * change / before[number]), 5),
                    "circulating_supply": coin.supply,
                    "total_supply": coin.supply,
                    "max_supply": 21_000_000.0 if coin.id in {"bitcoin", "bitcoin-cash"} else None,
                    "ath": _rounded(coin.price * unit * 1.6),
                    "ath_change_percentage": round(float(100 * (price[number] / (coin.price * unit * 1.6) - 1)), 5),
                    "ath_date": "2025-01-20T09:11:54.494Z",
                    "atl": _rounded(coin.price * unit * 0.01),
                    "atl_change_percentage": round(float(100 * (price[number] / (coin.price * unit * 0.01) - 1)), 5),
                    "atl_date": "2015-08-13T00:00:00.000Z",
                    "roi": None,
                    "last_updated": iso(float(at[number])),
                }
            )
        return found


def iso(seconds: float) -> str:
    """A moment as CoinGecko writes it: `2026-11-29T15:25:32.973Z`."""
    return f"{np.datetime64(round(seconds * 1000), 'ms')}Z"


def _rounded(price: float) -> float:
    """Eight significant digits: small prices have no fewer than large ones."""
    return float(f"{float(price):.8g}")
