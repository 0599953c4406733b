"""Logins as Java programs write them: `sasl.jaas.config`, for librdkafka's own settings.

    org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";

Databricks prefixes the class with `kafkashaded.`; that is taken for the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from riacho.errors import IllegalArgumentError

SHADED: Final = "kafkashaded."
_SETTING: Final = "kafka.sasl.jaas.config"
_PASSWORD_LOGINS: Final = ("plain.PlainLoginModule", "scram.ScramLoginModule")
_OAUTH_LOGIN: Final = "oauthbearer.OAuthBearerLoginModule"
_KERBEROS_LOGIN: Final = "com.sun.security.auth.module.Krb5LoginModule"
_KAFKA_LOGINS: Final = "org.apache.kafka.common.security."


def login(text: str) -> dict[str, str]:
    """Librdkafka's settings of a JAAS line. Its text, which holds a password, is in no message.

    Raises IllegalArgumentError for what is no such line, and for login modules that librdkafka does not have.
    """
    words = list(_words(text.strip()))
    if len(words) < 2 or words[1] not in ("required", "requisite", "sufficient", "optional"):
        raise IllegalArgumentError(
            f'The option {_SETTING} must be of the form: LoginModuleClass required name="value" … ;'
        )
    module = words[0].removeprefix(SHADED)
    options = dict(_pairs(words[2:]))
    if module in {_KAFKA_LOGINS + each for each in _PASSWORD_LOGINS}:
        return {
            "sasl.username": _needed(options, "username", module),
            "sasl.password": _needed(options, "password", module),
        }
    if module == _KAFKA_LOGINS + _OAUTH_LOGIN:
        names = {"clientId": "client.id", "clientSecret": "client.secret", "scope": "scope"}
        chosen = {f"sasl.oauthbearer.{names[name]}": value for name, value in options.items() if name in names}
        return {"sasl.oauthbearer.method": "oidc", **chosen} if chosen else {}
    if module == _KERBEROS_LOGIN:
        names = {"keyTab": "keytab", "principal": "principal", "serviceName": "service.name"}
        return {f"sasl.kerberos.{names[name]}": value for name, value in options.items() if name in names}
    raise IllegalArgumentError(
        f"The login module {module} of the option {_SETTING} is Java code that riacho cannot run. It knows "
        "PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule and Krb5LoginModule."
    )


def _needed(options: dict[str, str], name: str, module: str) -> str:
    if name not in options:
        raise IllegalArgumentError(f'The option {_SETTING} lacks {name}="…", which {module} needs.')
    return options[name]


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    for index in range(0, len(words) - 2, 3):
        name, equals, value = words[index : index + 3]
        if equals != "=":
            break
        yield name, value


def _words(text: str) -> Iterator[str]:
    """Words, `=` and what stands in quotes, up to the semicolon. A backslash in quotes takes the next as it is."""
    at = 0
    while at < len(text) and text[at] != ";":
        if text[at].isspace():
            at += 1
        elif text[at] == "=":
            yield "="
            at += 1
        elif text[at] in "\"'":
            word, at = _quoted(text, at)
            yield word
        else:
            end = at
            while end < len(text) and not text[end].isspace() and text[end] not in "=;":
                end += 1
            yield text[at:end]
            at = end


def _quoted(text: str, start: int) -> tuple[str, int]:
    word: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != text[start]:
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        word.append(text[at])
        at += 1
    if at == len(text):
        raise IllegalArgumentError(f"A quote of the option {_SETTING} has no end.")
    return "".join(word), at + 1
