"""The connection to MongoDB, with a limit on each wait, and what goes wrong with it, without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote_plus, unquote_plus

from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, SparkGeneralError
from riacho.extras import require

if TYPE_CHECKING:
    from pymongo import MongoClient

R = TypeVar("R")

SELECTION_LIMIT_MS: Final = 30_000
"""How long a server is looked for: as in MongoDB's own drivers, but said by us, so that it is known."""
ANSWER_LIMIT_MS: Final = 300_000
"""How long a server may be silent. Drivers wait forever unless the connection string says otherwise."""
LOST_ATTEMPTS: Final = 5
"""How often a call is made whose connection is lost; each looks for a server for `SELECTION_LIMIT_MS` at most."""
_WHAT: Final = 'format("mongodb")'
_LOGIN: Final = re.compile(r"//([^/@]*)@")
_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_DENIED: Final = (13, 18, 8000)


def connect(uri: str) -> MongoClient[dict[str, Any]]:
    """A client, which nobody has talked to yet; close it. Settings in the connection string count more than ours.

    Raises AnalysisError without pymongo, IllegalArgumentError for a connection string that is none.
    """
    pymongo = require("pymongo", "mongodb", _WHAT)
    if not uri.startswith(_SCHEMES):
        raise IllegalArgumentError(f"Invalid connection string: it must begin with {' or '.join(_SCHEMES)}")
    limits = {"serverSelectionTimeoutMS": SELECTION_LIMIT_MS, "socketTimeoutMS": ANSWER_LIMIT_MS}
    given = uri.lower()
    limits = {name: value for name, value in limits.items() if f"{name.lower()}=" not in given}
    try:
        client: MongoClient[dict[str, Any]] = pymongo.MongoClient(
            uri, appname="riacho", document_class=dict, datetime_conversion="DATETIME_MS", **limits
        )
    except Exception as error:  # noqa: BLE001 - each way in which a text is no address has its own
        raise IllegalArgumentError(f"Invalid connection string: {without_secrets(str(error), uri)}") from None
    return client


def again(call: Callable[[], R]) -> R:
    """The result of `call`, which is made again if a connection was lost on the way: a server that is back takes the
    next one. The driver itself does that for some calls only. Raises what the last call raised.
    """
    from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

    def is_lost(error: BaseException) -> bool:
        return isinstance(error, AutoReconnect) and not isinstance(error, ServerSelectionTimeoutError)

    tenacity = require("tenacity", "mongodb", _WHAT)
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_lost),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_after_attempt(LOST_ATTEMPTS),
        reraise=True,
    )
    result: R = attempts(call)
    return result


@contextmanager
def told(uri: str, what: str) -> Iterator[None]:
    """Turn what the driver raises in the block into errors that say what was done, where, and the way out.

    `what`: as in "Reading shop.orders". Passwords are taken out of the text.
    """
    from bson.errors import InvalidBSON, InvalidDocument
    from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

    try:
        yield
    except SparkError:
        raise
    except ServerSelectionTimeoutError as error:
        text = without_secrets(str(error).partition(", Timeout:")[0], uri)
        raise SparkGeneralError(
            f"{what} failed: no MongoDB server answers at {place(uri)} ({text}). Is the address right, and does it run?"
        ) from None
    except OperationFailure as error:
        text = without_secrets(_text(error), uri)
        if error.code in _DENIED:
            raise AnalysisError(
                f"{what} failed: {place(uri)} refuses the login, or its rights do not suffice: {text}"
            ) from None
        raise SparkGeneralError(f"{what} failed: {text} (MongoDB's error {error.code})") from None
    except (PyMongoError, InvalidBSON, InvalidDocument) as error:
        raise SparkGeneralError(f"{what} failed: {without_secrets(str(error), uri)}") from None


def _text(error: Any) -> str:
    details = error.details or {}
    told_by_server = details.get("errmsg")
    return str(told_by_server) if told_by_server else str(error)


def place(uri: str) -> str:
    """A connection string without its login, its database and its settings."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('/')[0].partition('?')[0]}"


def without_secrets(text: str, uri: str) -> str:
    """A text in which nothing of the connection string's password is left."""
    login = _LOGIN.search(uri)
    if login is None:
        return text
    _, _, password = login[1].partition(":")
    for secret in {login[1], password, unquote_plus(password), quote_plus(unquote_plus(password))}:
        if secret:
            text = text.replace(secret, "***")
    return text
