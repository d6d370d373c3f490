"""Tests of a whole server under load, made of what a seed draws and checked to the last byte."""

from trunkline.pfs.loading.running import Loaded, check, run_load
from trunkline.pfs.loading.spec import LoadSpec, fields_of, read_load

__all__ = ["LoadSpec", "Loaded", "check", "fields_of", "read_load", "run_load"]
