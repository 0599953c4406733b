"""Session windows → structs of their type, so that a stream's plan can be analysed as a batch's.

    before                                   after
    session_window(ts, '5 minutes')          named_struct('start', ts, 'end', ts + INTERVAL 5 MINUTES)

Sessions are made by `streaming.operators.session`, which looks at the plan before this rule.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan.context import Context
from riacho.server.plan.session_window import without_session_windows
from riacho.server.plan.walk import transform


def session_windows(relation: pb.Relation, context: Context) -> pb.Relation:  # noqa: ARG001
    """Apply the rule."""
    return transform(relation, without_session_windows)
