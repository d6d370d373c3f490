"""pps_v2.API: datums of jobs, and what datums an input would make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument
from trunkline.model.infos_pps import DatumFile, DatumInfo
from trunkline.model.jobs import DatumState
from trunkline.model.names import Commit, Job, Pipeline
from trunkline.model.specs.writing import read_spec
from trunkline.pps import datums as pps_datums
from trunkline.pps.controller import Pps
from trunkline.wire import infos_pps, nouns, specs
from trunkline.wire.gen import pps_v2_pb2 as pps

PAGE = 1000


@dataclass(frozen=True, slots=True)
class DatumDoor:
    """Datums."""

    system: Pps
    service: str = field(default="pps_v2.API")

    def InspectDatum(self, request: pps.InspectDatumRequest, _call: Call) -> pps.DatumInfo:
        """One datum of a job."""
        job = nouns.job_of(request.datum.job, "the datum")
        info = pps_datums.inspect_datum(self.system.files, self.system.tables, job, request.datum.id)
        return infos_pps.datum_info(info)

    def ListDatum(self, request: pps.ListDatumRequest, _call: Call) -> Iterator[pps.DatumInfo]:
        """A job's datums by ID, or those that an input would make of what its branches hold now."""
        if request.job.id:
            found = self._of_job(request)
        elif request.HasField("input"):
            found = self._of_input(request.input)
        else:
            raise InvalidArgument("whose datums are wanted is not said: name a job, or give an input")
        left = request.number if request.number > 0 else None
        for info in found:
            if left == 0:
                return
            left = None if left is None else left - 1
            yield infos_pps.datum_info(info)

    def _of_job(self, request: pps.ListDatumRequest) -> Iterator[DatumInfo]:
        job = nouns.job_of(request.job)
        states = infos_pps.datum_states(request.filter.state)
        after = request.paginationMarker
        while True:
            page = pps_datums.list_datums(
                self.system.files,
                self.system.tables,
                job,
                states=states,
                after=after,
                number=PAGE,
                reverse=request.reverse,
            )
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].id

    def _of_input(self, message: pps.Input) -> Iterator[DatumInfo]:
        # No pipeline is named here, so an input without a project means the default one.
        nowhere = Pipeline("default", "")
        # The rules of inputs are those of a spec.
        form = {"pipeline": {"name": "preview-of-datums"}, "transform": {"cmd": ["true"]}}
        wanted = read_spec({**form, "input": specs.input_of(message)}).spec.input
        if wanted is None:
            raise InvalidArgument("the input is empty: give one of pfs, cross, union, join, group")
        table = pps_datums.preview(self.system.files, wanted, nowhere.project)
        for first in range(0, len(table), PAGE):
            elements = table.datums(first, first + PAGE)
            for at, datum in enumerate(elements):
                files = tuple(
                    DatumFile(
                        one.slot.name,
                        Commit(one.slot.source, one.slot.commit),
                        f"{one.path}/" if one.is_dir and one.path != "/" else one.path,
                        one.size_bytes,
                        one.hash,
                    )
                    for one in datum
                )
                identity = table.ids[first + at].as_py().hex()
                yield DatumInfo(Job(nowhere, ""), identity, first + at, DatumState.UNKNOWN, files=files)

    def RestartDatum(self, request: pps.RestartDatumRequest, _call: Call) -> Empty:
        """End running datums and run them again."""
        job = nouns.job_of(request.job)
        pps_datums.restart_datum(self.system.files, self.system.tables, job, list(request.data_filters))
        return Empty()
