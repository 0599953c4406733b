"""Clients of object stores: one for each bucket and its settings, kept and shared by all threads.

Every request has a limit and every repetition an end. Static credentials are handed over by a function and not as
settings, so that a token of the environment is not mixed with another's keys.
"""

from __future__ import annotations

import configparser
import os
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import ascii_letters
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from riacho.errors import IllegalArgumentError
from riacho.extras import require
from riacho.storage.settings import StorageSettings

if TYPE_CHECKING:
    from obstore.store import ObjectStore

S3: Final = "s3"
GOOGLE: Final = "gs"
AZURE: Final = "az"
KINDS: Final = {
    "s3": S3,
    "s3a": S3,
    "s3n": S3,
    "gs": GOOGLE,
    "abfss": AZURE,
    "abfs": AZURE,
}
"""The schemes of places on object storage, and whose store each means."""

_MOST_STORES = 1000
_ATTEMPTS = "11"
_REQUEST_TIME_S = 60.0
_CONNECT_TIME_S = 5.0
_RETRY_TIME_S = 60.0
_ASKED_AGAIN = timedelta(minutes=15)
_LONGEST_S = 3600.0
_UNITS: Final = {
    "": 1e-3, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip
_HOST: Final = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?")
_PREFIX = "org.apache.hadoop.fs.s3a."
_STATIC = frozenset({f"{_PREFIX}SimpleAWSCredentialsProvider", f"{_PREFIX}TemporaryAWSCredentialsProvider"})
_ANONYMOUS = f"{_PREFIX}AnonymousAWSCredentialsProvider"

_stores: dict[tuple[str, str, StorageSettings, tuple[str, ...]], ObjectStore] = {}
_making = threading.Lock()


@dataclass(frozen=True)
class StaticKeys:
    """An access key, its secret and perhaps a session token."""

    access_key: str
    secret_key: str
    token: str | None = None

    def given(self) -> dict[str, Any]:
        """As obstore wants them; it asks again before they are `_ASKED_AGAIN` old."""
        found = {"access_key_id": self.access_key, "secret_access_key": self.secret_key}
        token = {"token": self.token} if self.token else {}
        return {**found, **token, "expires_at": datetime.now(UTC) + _ASKED_AGAIN}


def store_of(kind: str, bucket: str, settings: StorageSettings) -> ObjectStore:
    """The client for a bucket. Opens no connection. Raises AnalysisError (the extra), IllegalArgumentError."""
    key = (kind, bucket, settings, _environment())
    found = _stores.get(key)
    if found is None:
        with _making:
            found = _stores.get(key) or _make(kind, bucket, settings)
            if len(_stores) >= _MOST_STORES:
                _stores.clear()  # sessions that have long gone; whoever still uses one has it
            _stores[key] = found
    return found


def _environment() -> tuple[str, ...]:
    """What of the environment a client depends on: a test, or a notebook, may change it."""
    return tuple(os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_PROFILE"))


def _make(kind: str, bucket: str, settings: StorageSettings) -> ObjectStore:
    require("obstore", "s3", "Object storage")
    from obstore import store

    limits: dict[str, Any] = {
        "client_options": {
            "timeout": timedelta(seconds=_seconds(settings, bucket, "connection.timeout", _REQUEST_TIME_S)),
            "connect_timeout": timedelta(
                seconds=_seconds(settings, bucket, "connection.establish.timeout", _CONNECT_TIME_S)
            ),
            "user_agent": "riacho",
        },
        "retry_config": {
            "max_retries": max(0, _number(settings.get("attempts.maximum", bucket, _ATTEMPTS), "attempts.maximum") - 1),
            "retry_timeout": timedelta(seconds=_RETRY_TIME_S),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 3,
            },
        },
    }
    if kind == GOOGLE:
        keyfile = _google_keyfile(settings)
        return store.GCSStore(bucket, config={"service_account": keyfile} if keyfile else None, **limits)
    if kind == AZURE:
        container = bucket.partition("@")[0]
        return store.AzureStore(container, config=cast(Any, _azure_config(bucket, settings)), **limits)
    config = s3_config(bucket, settings)
    if _is_plain(config):
        limits["client_options"]["allow_http"] = True
    first = static_keys(bucket, settings)
    if first is not None:

        def keys() -> dict[str, Any]:
            """Looked up anew each time: tools write new keys into the profile while we run."""
            return (static_keys(bucket, settings) or first).given()

        limits["credential_provider"] = keys
    return store.S3Store(bucket, config=cast(Any, config), **limits)


def s3_config(bucket: str, settings: StorageSettings) -> dict[str, str]:
    """What obstore is told of a bucket of S3, without credentials. Raises IllegalArgumentError."""
    config: dict[str, str] = {"conditional_put": "etag"}
    endpoint = settings.get("endpoint", bucket) or _env("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    path_style = settings.get("path.style.access", bucket)
    if endpoint is not None:
        if "://" not in endpoint:
            secure = (settings.get("connection.ssl.enabled", bucket) or "true").lower() != "false"
            endpoint = f"{'https' if secure else 'http'}://{endpoint}"
        endpoint = _checked(endpoint)
        if path_style is not None and path_style.lower() == "false":
            parts = urlsplit(endpoint)
            endpoint = parts._replace(netloc=f"{bucket}.{parts.netloc}").geturl()
            config["virtual_hosted_style_request"] = "true"
        config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
    elif path_style is not None and path_style.lower() == "false":
        config["virtual_hosted_style_request"] = "true"
    region = settings.get("endpoint.region", bucket) or _env("AWS_REGION", "AWS_DEFAULT_REGION")
    region = region or _profile().get("region") or "us-east-1"
    config["region"] = region
    if _providers(bucket, settings) == [_ANONYMOUS]:
        config["skip_signature"] = "true"
    return config


def static_keys(bucket: str, settings: StorageSettings) -> StaticKeys | None:
    """The keys for a bucket; None where obstore is to find credentials itself (roles, containers, instances).

    Raises IllegalArgumentError for half a pair of keys.
    """
    if _providers(bucket, settings) == [_ANONYMOUS]:
        return None
    access, secret = settings.get("access.key", bucket), settings.get("secret.key", bucket)
    if access and secret:
        own = settings.whole(f"fs.s3a.bucket.{bucket}.access.key") is not None
        general = None if own else settings.get("session.token", bucket)
        return StaticKeys(access, secret, settings.whole(f"fs.s3a.bucket.{bucket}.session.token") or general)
    if access or secret:
        given, missing = ("access.key", "secret.key") if access else ("secret.key", "access.key")
        raise IllegalArgumentError(
            f"fs.s3a.{given} is set for the bucket {bucket} and fs.s3a.{missing} is not: set both, or neither to use "
            "the AWS environment."
        )
    found = _env("AWS_ACCESS_KEY_ID"), _env("AWS_SECRET_ACCESS_KEY")
    if found[0] and found[1]:
        return StaticKeys(found[0], found[1], _env("AWS_SESSION_TOKEN", "AWS_TOKEN"))
    if any(os.environ.get(name) for name in _ROLES) and not os.environ.get("AWS_PROFILE"):
        return None
    profile = _profile()
    if "aws_access_key_id" in profile and "aws_secret_access_key" in profile:
        return StaticKeys(
            profile["aws_access_key_id"], profile["aws_secret_access_key"], profile.get("aws_session_token")
        )
    return None


def delta_options(kind: str, bucket: str, settings: StorageSettings) -> dict[str, str]:
    """What `store_of` rests on as delta-rs's `storage_options`."""
    if kind == GOOGLE:
        keyfile = _google_keyfile(settings)
        return {"google_service_account": keyfile} if keyfile else {}
    if kind == AZURE:
        return {f"azure_storage_{name}": value for name, value in _azure_config(bucket, settings).items()}
    config = s3_config(bucket, settings)
    options = {"AWS_REGION": config["region"], "conditional_put": "etag"}
    if "endpoint" in config:
        options |= {"AWS_ENDPOINT_URL": config["endpoint"], "AWS_ALLOW_HTTP": str(_is_plain(config)).lower()}
    if "virtual_hosted_style_request" in config:
        options["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = "true"
    if "skip_signature" in config:
        options["AWS_SKIP_SIGNATURE"] = "true"
    keys = static_keys(bucket, settings)
    if keys is not None:
        options |= {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
        options |= {"AWS_SESSION_TOKEN": keys.token} if keys.token else {}
    return options


def _google_keyfile(settings: StorageSettings) -> str | None:
    names = ("fs.gs.auth.service.account.json.keyfile", "google.cloud.auth.service.account.json.keyfile")
    return next((value for name in names if (value := settings.whole(name))), None)


def _azure_config(bucket: str, settings: StorageSettings) -> dict[str, str]:
    _, _, host = bucket.partition("@")
    account = host.split(".")[0]
    key = settings.whole(f"fs.azure.account.key.{host}") or settings.whole("fs.azure.account.key")
    return ({"account_name": account} if account else {}) | ({"account_key": key} if key else {})


def _is_plain(config: dict[str, str]) -> bool:
    """Whether the endpoint is spoken to without TLS, as the user has said."""
    return config.get("endpoint", "").startswith("http://")


_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def secrets(bucket: str, settings: StorageSettings) -> list[str]:
    """What must not be in any text about the bucket."""
    try:
        keys = static_keys(bucket, settings)
    except IllegalArgumentError:
        keys = None
    found = [] if keys is None else [keys.access_key, keys.secret_key, keys.token or ""]
    return [value for value in {*found, *settings.secrets} if len(value) > 3]


def _providers(bucket: str, settings: StorageSettings) -> list[str]:
    """The class names of `aws.credentials.provider`. Raises IllegalArgumentError for one that needs what is not set."""
    given = settings.get("aws.credentials.provider", bucket) or ""
    found = [name.strip() for name in given.split(",") if name.strip()]
    if found and set(found) <= _STATIC and not settings.get("access.key", bucket):
        raise IllegalArgumentError(
            f"fs.s3a.aws.credentials.provider is {given} and fs.s3a.access.key is not set for the bucket {bucket}: set "
            "fs.s3a.access.key and fs.s3a.secret.key, or leave the provider away to use the AWS environment."
        )
    return found


def _profile() -> dict[str, str]:
    """The chosen profile of AWS's own files."""
    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    home = Path(os.environ.get("HOME", "/nonexistent")) / ".aws"
    found: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(os.environ.get(variable) or home / file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # somebody else's file: what is wrong with it shows as missing credentials
        if parser.has_section(section):
            found |= dict(parser.items(section))
    return found


def _env(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


def _seconds(settings: StorageSettings, bucket: str, key: str, default: float) -> float:
    """A time of Hadoop's: milliseconds, or a number with a unit; 0 is no limit there, and the longest here."""
    text = settings.get(key, bucket)
    if text is None:
        return default
    digits = text.rstrip(ascii_letters)
    unit = _UNITS.get(text[len(digits) :].lower())
    if unit is None or not digits.isdecimal():
        raise IllegalArgumentError(f"fs.s3a.{key} must be a time such as 60s or 500ms, found {text!r}")
    return min(max(int(digits) * unit, 0.001), _LONGEST_S) if int(digits) else _LONGEST_S


def _number(text: str | None, key: str) -> int:
    if text is None or not text.strip().isdecimal():
        raise IllegalArgumentError(f"fs.s3a.{key} must be a number, found {text!r}")
    return int(text)


def _checked(endpoint: str) -> str:
    """Raises IllegalArgumentError for what is no address of a server, and shows no credentials in it."""
    parts = urlsplit(endpoint)
    if "@" in parts.netloc or parts.scheme not in {"http", "https"} or _HOST.fullmatch(parts.netloc) is None:
        raise IllegalArgumentError(
            f"fs.s3a.endpoint must be https://HOST or http://HOST:PORT, found {endpoint.rpartition('@')[2]!r}"
        )
    return endpoint.rstrip("/")
