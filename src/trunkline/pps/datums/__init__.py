"""Datums of a job as people see them: listed, inspected, chosen by their files; and what datums an input would make."""

from trunkline.pps.datums.busy import with_progress
from trunkline.pps.datums.chosen import matching, matching_ids, restart_datum, with_inputs
from trunkline.pps.datums.listing import inspect_datum, list_datums
from trunkline.pps.datums.preview import Committed, committed, described, list_preview, preview, ticks, wanted_of

__all__ = [
    "Committed",
    "committed",
    "described",
    "inspect_datum",
    "list_datums",
    "list_preview",
    "matching",
    "matching_ids",
    "preview",
    "restart_datum",
    "ticks",
    "wanted_of",
    "with_inputs",
    "with_progress",
]
