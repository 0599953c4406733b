"""The options of `rest`, which are also the keys of its file: `paging.size` is `size` below `paging:`."""

from __future__ import annotations

from typing import Final

from riacho.connectors import bad_records
from riacho.options import Option

OPTIONS: Final = (
    Option("config", None, "a file with these options, in YAML or JSON; options that are given beside it count more"),
    Option("url", None, "the address; required. `{name}` in it is filled from `values`", ("path",)),
    Option("method", "GET", "the method of a request, such as `POST` for a search"),
    Option(
        "values",
        None,
        "what fills `{name}` in the URL, parameters, headers and body, as a JSON object. A list asks once for each of "
        "its values, several lists once for each combination; `@FILE` stands for the lines of a file. A list of "
        "objects asks once for each of them",
    ),
    Option("parameters", None, "query parameters, as a JSON object or as `a=1&b=2`"),
    Option("headers", None, "headers, as a JSON object or as lines `Name: value`"),
    Option("body", None, "what a request sends: JSON, or any other text"),
    Option("format", "json", "what an answer is: `json`, or `ndjson`, which has a record a line"),
    Option("records", "$", "JSON path of the records in an answer: a list of them, or one"),
    Option("emptyStatus", None, "statuses that mean that there are no records, separated by commas, such as `404`"),
    Option("schema", None, "the columns as DDL, for files; `.schema(…)` counts more. Without either they are inferred"),
    Option("raw", "false", "give each record as it came, as JSON text in the column `value`"),
    Option("required", None, "fields that every record must have, separated by commas"),
    Option("emptyAsNull", "false", "whether an empty text is null in columns that are no texts"),
    Option(
        "requestColumn",
        None,
        "a column that tells of the request: a struct of any of `url`, `page`, `fetched_at` and `values`; inferred "
        "columns get it with all four",
    ),
    Option("key", None, "fields that tell records apart, separated by commas: one that comes again is left out"),
    Option("cursor", None, "JSON path of the field that grows: what was read to its highest value is not read again"),
    Option("cursor.parameter", None, "the query parameter that asks for records from the cursor on"),
    Option("cursor.initial", None, "the cursor's value before anything was read"),
    Option("cursor.inclusive", "true", "whether the answer also has records at the cursor itself"),
    Option("cursor.lag", None, "how far before the cursor to ask again, for what comes late: `10m`, or a number"),
    Option("cursor.format", "same", "how the cursor is sent: `same` as it came, `iso`, `epoch`, `epoch_ms`"),
    Option("paging", "none", "how there is more than one page: `none`, `page`, `offset`, `cursor`, `link`"),
    Option("paging.parameter", None, "the parameter that asks for a page: by default `page`, `offset` or `cursor`"),
    Option("paging.start", None, "the first page or offset: by default 1 or 0"),
    Option("paging.size", None, "how many records to ask for; a page with fewer is the last"),
    Option("paging.sizeParameter", None, "the parameter for `paging.size`: `per_page`, with offsets `limit`"),
    Option("paging.path", None, "JSON path of the next cursor or link; without it, links are in the answer's headers"),
    Option("paging.total", None, "JSON path of the number of pages, or with offsets of records"),
    Option("paging.more", None, "JSON path of whether there is more"),
    Option("paging.pages", None, "how many pages to read at most"),
    Option("paging.in", "query", "where the parameters of a page go: `query`, `body`"),
    Option("auth", "none", "who asks: `none`, `header`, `query`, `bearer`, `basic`, `oauth2` (client credentials)"),
    Option("auth.token", None, "the token of `bearer`"),
    Option("auth.name", None, "the header or parameter of `header` and `query`"),
    Option("auth.value", None, "its value"),
    Option("auth.user", None, "the user of `basic`"),
    Option("auth.password", None, "the user's password"),
    Option("auth.tokenUrl", None, "where `oauth2` gets its tokens"),
    Option("auth.clientId", None, "the client of `oauth2`"),
    Option("auth.clientSecret", None, "the client's secret"),
    Option("auth.scope", None, "the scopes that it asks for"),
    Option("rateLimit", None, "the most requests in a time, spread evenly: `10/s`, `30/m`, `1000/h`"),
    Option("concurrency", "1", "how many requests are under way at once"),
    Option("retries", "5", "how often a request that failed for a passing reason is made again"),
    Option("retryWait", "1s", "the longest wait before the first retry; it doubles with each, and the wait is random"),
    Option("retryMaxWait", "60s", "the longest wait before any retry, unless the answer asks for a longer one"),
    Option("connectTimeout", "10s", "how long to wait for a connection"),
    Option("readTimeout", "30s", "how long an answer may be silent"),
    Option("totalTimeout", "10m", "how long one page may take with all its retries and waits"),
    Option("maxPages", "10000", "how many pages of one request are too many: an error, which ends endless paging"),
    Option("maxBytes", "64m", "how large an answer may be, unpacked"),
    Option("maxRedirects", "5", "how many redirects to follow; another host is not told who asks"),
    Option("proxy", None, "a proxy; by default that of the environment"),
    Option("tls.verify", "true", "whether the server's certificate is checked"),
    Option("tls.ca", None, "a file with the authorities to trust"),
    Option("tls.certificate", None, "a file with a certificate to show"),
    Option("tls.key", None, "its key, if that is in another file"),
    Option("pollInterval", "1m", "streams: the time from one look to the next"),
    Option("poll", "again", "streams: `again` asks everything at each look, `once` asks each of `values` only once"),
    Option("pagesPerBatch", "100", "streams: how many pages make a batch"),
    Option(
        "spoolLocation",
        None,
        "streams: a folder, for this query alone, that keeps answers until they are committed; without it they are in "
        "the offsets",
    ),
    Option("maxOffsetBytes", "1m", "streams without `spoolLocation`: how large an offset may be"),
    *bad_records.OPTIONS,
)
_SHARED: Final = frozenset(
    {
        "config", "url", "headers", "rateLimit", "retries", "retryWait", "retryMaxWait", "connectTimeout",
        "readTimeout", "totalTimeout", "maxBytes", "maxRedirects", "proxy",
    }
)  # fmt: skip
SHARED: Final = tuple(o for o in OPTIONS if o.name in _SHARED or o.name.partition(".")[0] in ("auth", "tls"))
"""What is the same for whoever sends rows."""
SINK: Final = (
    Option("method", "POST", "the method of a request"),
    Option("rowsPerRequest", "100", "how many rows a request has at most"),
    Option(
        "body",
        "list",
        "what it has: `list`, a JSON list of the rows; `lines`, a row a line; `row`, one row, which is an object. Any "
        "other word: an object with the list under this name",
    ),
    Option("idempotencyHeader", "Idempotency-Key", "the header that tells requests apart; empty for none"),
    Option("idempotencyColumn", None, "with `body = row`, a column to tell them apart by; else a digest of the body"),
    *SHARED,
)
"""The options of the sink."""
