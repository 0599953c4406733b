"""How values become JSON, by the options of the writer and of `to_json`, which are the same."""

from __future__ import annotations

from collections.abc import Mapping

from riacho.conf import JSON_NULLS, GetConf
from riacho.errors import DateTimeError, IllegalArgumentError
from riacho.options import Options
from riacho.server.formats.write.json_text import JsonText
from riacho.server.formats.write.moments import DEFAULT_TIMESTAMP, compile_moments
from riacho.server.formats.write.options import COMMON, WRITERS
from riacho.server.formats.write.spelling import Moment
from riacho.zones import Zone, session_zone


def json_text(given: Mapping[str, str], zone: Zone) -> JsonText:
    """How `to_json` writes values with these options. Raises SparkError for a value that an option cannot have."""
    return json_text_of(Options.check("to_json", (*WRITERS["json"], *COMMON), given), lambda _: None, zone)


def json_text_of(options: Options, get_conf: GetConf, zone: Zone) -> JsonText:
    """The same of options that have been looked at, with what the session says of those that are not given."""
    keep = not options.flag("ignoreNullFields", JSON_NULLS.read(get_conf))
    return JsonText(moment_of(options, zone), keep)


def moment_of(options: Options, zone: Zone) -> Moment:
    """How dates and times are spelled. Raises SparkError for a pattern or a zone that is none."""
    given = options.maybe("timeZone")
    try:
        shown = zone if given is None else session_zone(given)
    except IllegalArgumentError:
        raise DateTimeError.of(
            "INVALID_TIMEZONE",
            f"The timezone: {given} is invalid. The timezone must be either a region-based zone ID or a zone offset. "
            "Region IDs must have the form 'area/city', such as 'America/Los_Angeles'. Zone offsets must be in the "
            "format '(+|-)HH', '(+|-)HH:mm’ or '(+|-)HH:mm:ss', e.g '-08' , '+01:00' or '-13:33:33', and must be in "
            "the range from -18:00 to +18:00. 'Z' and 'UTC' are accepted as synonyms for '+00:00'.",
            sql_state="22009",
            timeZone=given or "",
        ) from None
    return Moment(
        compile_moments(options.text("dateFormat")),
        compile_moments(options.maybe("timestampFormat") or DEFAULT_TIMESTAMP),
        compile_moments(options.text("timestampNTZFormat")),
        shown.engine,
    )
