"""What a streaming query keeps between batches: a versioned columnar store, and the operators that live on it.

`store` keeps keyed rows in the checkpoint; `aggregate` and `deduplicate` are Spark's stateful operators on top of it;
`compiler` cuts a plan at them, `execution` runs it batch by batch.
"""

from riacho.server.streaming.operators.execution import StatefulExecution, prepare
from riacho.server.streaming.operators.late import LateTarget

__all__ = ["LateTarget", "StatefulExecution", "prepare"]
