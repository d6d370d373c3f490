"""Tests of pipelines under load."""

from trunkline.pps.loading.running import Dag, read_dag, run_dag

__all__ = ["Dag", "read_dag", "run_dag"]
