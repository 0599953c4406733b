"""What Spark refuses to run, refused before it starts, in Spark's words."""

from riacho.plan.checks.batch import check_batch
from riacho.plan.checks.streaming import check_streaming

__all__ = ["check_batch", "check_streaming"]
