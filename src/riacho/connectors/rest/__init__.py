"""REST interfaces, `format("rest")`: declared by options or in a file, read in batches and as streams.

options      the table of options
reading      options as settings; `environment` fills in `${NAME}` and hides secrets
settings     what they say: the requests to make, and how
requests     what one request asks; `paging` the next page, `auth` who asks
client       requests that end: limits, rate, retries
answers      documents and their records, errors that say what is wrong with them
cursor       which records are new
crawl        all pages of all requests, from a place that a checkpoint can hold
records      records as rows, their `inference`; JSON values as columns are in `riacho.connectors.values`
offsets      where a stream stands, with the answers of its next batch
source       the data source; `sink` what sends rows
"""

from riacho.connectors.rest.source import RestDataSource, records

__all__ = ["RestDataSource", "records"]
