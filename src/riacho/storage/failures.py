"""What an object store answers, as riacho's errors: what was asked, of which place, and the way out.

Texts of the store are shortened and never carry credentials.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from riacho.errors import StorageError
from riacho.storage.stores import AZURE, GOOGLE, S3

if TYPE_CHECKING:
    from riacho.storage.places import ObjectPath

_REDACTED = "*********(redacted)"
_LONGEST = 400
_PANIC = "PanicException"
"""What the client raises when it fails in a way that its authors did not think of; it is no Exception."""
_CODE = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_PARTS = re.compile(r"(X-Amz-[A-Za-z-]+|AWSAccessKeyId|Signature|sig)=[^&\s\"')]+", re.IGNORECASE)


@contextmanager
def asking(what: str, place: ObjectPath, secrets: Callable[[], list[str]]) -> Iterator[None]:
    """Turns what the client raises for a request into FileNotFoundError or StorageError.

    `what`: the request in a word or two ("read", "list"). `AlreadyExistsError` and `PreconditionError` are let through.
    """
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as failure:
        if "NoSuchBucket" in str(failure):
            raise _missing_bucket(what, place) from None
        raise FileNotFoundError(errno.ENOENT, "There is no such object", str(place)) from None
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except (exceptions.BaseError, ValueError) as failure:
        raise _told(what, place, failure, secrets()) from None
    except BaseException as failure:
        if type(failure).__name__ != _PANIC:
            raise
        raise _told(what, place, failure, secrets()) from None


def _told(what: str, place: ObjectPath, failure: BaseException, secrets: list[str]) -> StorageError:
    from obstore import exceptions

    text = redacted(str(failure), secrets)
    code = _CODE.search(text)
    if "NoSuchBucket" in text:
        return _missing_bucket(what, place)
    denied = isinstance(failure, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
    if denied or (code is not None and code[1] in _DENIED):
        why = f" ({code[1]})" if code is not None else ""
        return StorageError(
            f"The object store denies access: {what} {place}{why}. Check the keys of the bucket {place.bucket!r} "
            f"({_KEYS[place.kind]}), and what they are allowed to do."
        )
    if any(word in text for word in _NO_CREDENTIALS):
        public = _PUBLIC if place.kind == S3 else ""
        return StorageError(
            f"There are no credentials for {place.scheme}://{place.bucket}: set {_KEYS[place.kind]}{public}."
        )
    if any(word in text for word in _BAD_NAMES):
        return StorageError(
            f"The name of an object cannot be used: {what} {str(place)!r}. {_short(text)}. Names with empty parts "
            "('a//b'), '.' or '..' as parts, or control characters are not read and not written: rename the object, "
            "or use a folder without it."
        )
    if any(word in text for word in _UNREACHABLE):
        return StorageError(
            f"The object store cannot be reached: {what} {place}. Check {_address(place)}the network. {_short(text)}"
        )
    return StorageError(f"The object store failed: {what} {place}. {_short(text)}")


_DENIED: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "Forbidden"}
)
_NO_CREDENTIALS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "InstanceCredentials")
_KEYS: Final = {
    S3: "spark.hadoop.fs.s3a.access.key and spark.hadoop.fs.s3a.secret.key in the session, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY where the server runs",
    GOOGLE: "spark.hadoop.fs.gs.auth.service.account.json.keyfile, or GOOGLE_APPLICATION_CREDENTIALS where the server "
    "runs",
    AZURE: "spark.hadoop.fs.azure.account.key.ACCOUNT.dfs.core.windows.net, or AZURE_STORAGE_ACCOUNT_KEY where the "
    "server runs",
}
_PUBLIC: Final = (
    "; for a public bucket set spark.hadoop.fs.s3a.aws.credentials.provider to "
    "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
)
_BAD_NAMES = ("object with invalid path", "Could not parse path", "Error parsing Path")
_UNREACHABLE = ("error sending request", "error trying to connect", "dns error", "Connection refused", "HTTP error")


def _missing_bucket(what: str, place: ObjectPath) -> StorageError:
    endpoint = " and spark.hadoop.fs.s3a.endpoint (or AWS_ENDPOINT_URL)" if place.kind == S3 else ""
    return StorageError(
        f"The bucket {place.bucket!r} does not exist: {what} {place}. Make it, or check its name{endpoint}."
    )


def _address(place: ObjectPath) -> str:
    return "spark.hadoop.fs.s3a.endpoint (or AWS_ENDPOINT_URL) and " if place.kind == S3 else ""


def redacted(text: str, secrets: list[str]) -> str:
    """`text` without credentials."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _REDACTED)
    return _PARTS.sub(rf"\1={_REDACTED}", text)


def _short(text: str) -> str:
    """The part of a client's message that says what happened, on one line."""
    found = _MESSAGE.search(text)
    if found is not None:
        return found[1][:_LONGEST]
    plain = " ".join(text.partition("Debug source:")[0].split())
    return plain if len(plain) <= _LONGEST else plain[:_LONGEST] + "…"
