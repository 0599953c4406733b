"""What Spark refuses to run, refused before it starts, in Spark's words."""

from riacho.server.plan.checks.batch import check_batch
from riacho.server.plan.checks.batch_time import check_batch_time
from riacho.server.plan.checks.observations import check_observations
from riacho.server.plan.checks.streaming import check_streaming
from riacho.server.plan.checks.watermarks import check_watermarks

__all__ = ["check_batch", "check_batch_time", "check_observations", "check_streaming", "check_watermarks"]
