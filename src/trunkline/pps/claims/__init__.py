"""Datums handed to workers: leased, kept, reported."""

from trunkline.pps.claims.handout import Handed, hand_out
from trunkline.pps.claims.leases import (
    LEASE_TICKS,
    LEASE_US,
    Cancel,
    Command,
    Finish,
    Leased,
    Leases,
    Renewal,
    Restart,
    all_gone,
    claim,
    give_back,
    restart_rows,
    worker_gone,
)
from trunkline.pps.claims.reports import Report, parse_results, report

__all__ = [
    "LEASE_TICKS",
    "LEASE_US",
    "Cancel",
    "Command",
    "Finish",
    "Handed",
    "Leased",
    "Leases",
    "Renewal",
    "Report",
    "Restart",
    "all_gone",
    "claim",
    "give_back",
    "hand_out",
    "parse_results",
    "report",
    "restart_rows",
    "worker_gone",
]
