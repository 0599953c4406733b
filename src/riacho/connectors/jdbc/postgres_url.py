"""PostgreSQL's JDBC URLs and connection properties, as libpq knows them.

Source: pgjdbc, `org.postgresql.PGProperty`, `org.postgresql.Driver.parseURL`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from riacho.errors import DatabaseError, IllegalArgumentError, UnsupportedOperationError

_log = logging.getLogger(__name__)

_RENAMED: Final[Mapping[str, str]] = {
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "sslrootcert": "sslrootcert",
    "sslpassword": "sslpassword",
    "sslnegotiation": "sslnegotiation",
    "channelbinding": "channel_binding",
    "requireauth": "require_auth",
    "gssencmode": "gssencmode",
    "kerberosservername": "krbsrvname",
    "applicationname": "application_name",
    "connecttimeout": "connect_timeout",
    "logintimeout": "connect_timeout",
    "service": "service",
}
"""libpq's name of a property of pgjdbc (in lower case)."""

_TARGETS: Final[Mapping[str, str]] = {
    "any": "any",
    "primary": "primary",
    "master": "primary",
    "secondary": "standby",
    "slave": "standby",
    "prefersecondary": "prefer-standby",
    "preferslave": "prefer-standby",
    "preferprimary": "any",
}

_HARMLESS: Final = frozenset(
    {
        "adaptivefetch", "adaptivefetchmaximum", "adaptivefetchminimum", "allowencodingchanges",
        "assumeminserverversion", "autosave", "binarytransfer", "binarytransferdisable", "binarytransferenable",
        "cancelsignaltimeout", "cleanupsavepoints", "convertbooleantonumeric", "databasemetadatacachefields",
        "databasemetadatacachefieldsmib", "defaultrowfetchsize", "disablecolumnsanitiser", "escapesyntaxcallmode",
        "groupstartupparameters", "gssresponsetimeout", "hidehostname", "hostrecheckseconds", "includethreadid",
        "loggerfile", "loggerlevel", "logservererrordetail", "logunclosedconnections", "maxresultbuffer",
        "maxsendbuffersize", "preferquerymode", "preparedstatementcachequeries", "preparedstatementcachesizemib",
        "preparethreshold", "protocolversion", "quotereturningidentifiers", "readonlymode", "receivebuffersize",
        "rewritebatchedinserts", "sendbuffersize", "sslresponsetimeout", "ssltruststore", "tcpnodelay",
        "unknownlength",
    }
)  # fmt: skip
"""Properties about how pgjdbc works inside, which change no rows."""

_JAVA: Final = frozenset(
    {
        "authenticationpluginclassname", "gsslib", "gssusedefaultcreds", "jaasapplicationname", "jaaslogin",
        "localsocketaddress", "replication", "socketfactory", "socketfactoryarg", "sslfactoryarg",
        "sslhostnameverifier", "sslpasswordcallback", "sspiserviceclass", "usespnego", "xmlfactoryfactory",
    }
)  # fmt: skip
"""Properties that name classes of Java or belong to its security, and cannot be had."""
_TRUSTING: Final = ("org.postgresql.ssl.nonvalidatingfactory",)
_OWN_FACTORIES: Final = ("org.postgresql.ssl.libpqfactory", "org.postgresql.ssl.defaultjavasslfactory")


def translated(body: str, properties: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The URI that libpq takes for what follows `jdbc:postgresql:`, and the settings that riacho itself honors.

    What the URL says goes before `properties`, as in pgjdbc. Raises UnsupportedOperationError for a property that only
    Java can honor, DatabaseError for what is no such URL.
    """
    hosts, database, given = _parts(body)
    named = {name.lower(): value for name, value in properties.items()}
    named.update((name.lower(), value) for name, value in given)
    settings: dict[str, str] = {}
    parameters: dict[str, str] = {}
    options: list[str] = []
    for name, value in named.items():
        if name in _RENAMED:
            parameters[_RENAMED[name]] = value
        elif name in ("stringtype", "sockettimeout", "readonly"):
            settings[name] = value
        elif name in ("ssl", "sslfactory", "targetservertype", "loadbalancehosts", "tcpkeepalive"):
            pass  # below: what they mean depends on others
        elif name == "currentschema":
            options.append(f"-c search_path={_escaped(value)}")
        elif name == "options":
            options.append(value)
        elif name in _JAVA:
            raise UnsupportedOperationError(
                f"riacho does not support the connection property {name} of PostgreSQL's JDBC driver: it belongs to "
                "Java. Leave it out."
            )
        elif name not in _HARMLESS:
            _log.warning("The JDBC source does not know the connection property %r and ignores it", name)
    if options:
        parameters["options"] = " ".join(options)
    _ssl(named, parameters)
    _hosts(named, parameters)
    _check_string_type(settings)
    database = parameters.pop("database", database)
    login = quote(parameters.pop("user", ""), safe="")
    password = parameters.pop("password", None)
    if password is not None:
        login += ":" + quote(password, safe="")
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    at = f"{login}@" if login else ""
    return f"postgresql://{at}{hosts}/{quote(database, safe='')}" + (f"?{query}" if query else ""), settings


def _parts(body: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Hosts, database and parameters of a URL, without `jdbc:postgresql:`."""
    rest, _, query = body.partition("?")
    given = [(name, unquote(value)) for name, _, value in (part.partition("=") for part in query.split("&")) if name]
    if not rest.startswith("//"):
        return "localhost:5432", unquote(rest.lstrip("/")), given
    hosts, slash, database = rest[2:].partition("/")
    if not slash and not hosts:
        raise DatabaseError("No suitable driver")
    return ",".join(_host(part) for part in hosts.split(",")), unquote(database), given


def _host(text: str) -> str:
    """`host:port`, with what is left out."""
    host, port = text, ""
    if text.startswith("["):
        end = text.find("]")
        host, port = text[: end + 1], text[end + 1 :].lstrip(":")
    elif ":" in text:
        host, _, port = text.rpartition(":")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise DatabaseError("No suitable driver")
    return f"{host or 'localhost'}:{port or 5432}"


def _ssl(named: Mapping[str, str], parameters: dict[str, str]) -> None:
    """`ssl=true` is libpq's verify-full; the factory that trusts everybody is its `require`."""
    factory = named.get("sslfactory", "").lower()
    if factory and factory not in (*_TRUSTING, *_OWN_FACTORIES):
        raise UnsupportedOperationError(
            "riacho does not support the connection property sslfactory of PostgreSQL's JDBC driver: it names a class "
            "of Java. Use sslmode, sslrootcert, sslcert and sslkey."
        )
    wanted = "ssl" in named and named["ssl"].lower() in ("true", "")
    if factory in _TRUSTING and (wanted or parameters.get("sslmode") in ("verify-ca", "verify-full")):
        parameters["sslmode"] = "require"
    elif wanted:
        parameters.setdefault("sslmode", "verify-full")
    if parameters.get("sslmode") in ("verify-ca", "verify-full") and "sslrootcert" not in parameters and factory:
        parameters["sslrootcert"] = "system"


def _hosts(named: Mapping[str, str], parameters: dict[str, str]) -> None:
    if target := named.get("targetservertype"):
        if target.lower() not in _TARGETS:
            raise IllegalArgumentError(f"Invalid targetServerType value: {target}")
        parameters["target_session_attrs"] = _TARGETS[target.lower()]
    if named.get("loadbalancehosts", "").lower() == "true":
        parameters["load_balance_hosts"] = "random"
    if "tcpkeepalive" in named:
        parameters["keepalives"] = "1" if named["tcpkeepalive"].lower() == "true" else "0"
    if "connect_timeout" not in parameters:
        parameters["connect_timeout"] = "10"  # pgjdbc's own default


def _check_string_type(settings: Mapping[str, str]) -> None:
    value = settings.get("stringtype", "varchar")
    if value.lower() not in ("varchar", "unspecified"):
        raise IllegalArgumentError(f"Unsupported value for stringtype parameter: {value}")


def _escaped(value: str) -> str:
    """A value within libpq's `options`, where a blank ends it."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
