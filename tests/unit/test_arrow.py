"""pyarrow in a process that leaves pandas out."""

from __future__ import annotations

import subprocess
import sys

LIMIT_S = 60


def printed(code: str) -> list[str]:
    """What a fresh process prints, for what is loaded in this one cannot be taken back."""
    script = f"import sys, pyarrow as pa\nfrom riacho.arrow import leave_pandas_out\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    return done.stdout.split()


def test_conversions_do_not_load_pandas() -> None:
    convert = "pa.table({'a': [1, None]}).to_pylist(); pa.scalar(1); print('pandas' in sys.modules)"
    assert printed(convert) == ["True"]  # why this module is there; when it is not, the module can go
    assert printed(f"leave_pandas_out(); {convert}") == ["False"]


def test_who_wants_pandas_still_gets_it() -> None:
    code = "leave_pandas_out(); import pandas; print(pa.table({'a': [1]}).to_pandas()['a'].sum(), pandas.NA)"
    assert printed(code) == ["1", "<NA>"]


def test_where_pandas_is_loaded_it_stays_in_use() -> None:
    code = "import pandas; leave_pandas_out(); print(pa.array(pandas.Series([1.0, None])).null_count)"
    assert printed(code) == ["1"]
