"""The event log of pipelines: what happened in their runs, as a Delta table at `<storage>/system/events`.

    record ──► journal (before it returns) ──► buffer ──each second──► Delta table

The journal is what a kill leaves of events that were not in the table yet; the next run carries them there.
"""

from riacho.server.graph.event_log.log import EventLog, EventRecorder, Unrecorded

__all__ = ["EventLog", "EventRecorder", "Unrecorded"]
