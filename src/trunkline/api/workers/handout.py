"""A leased range as it goes to its worker: the step as JSON, the datums as an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.model.datums import DatumTable, code_digest
from trunkline.model.names import Commit
from trunkline.model.specs import DatumSetSpec, PipelineSpec, Resources
from trunkline.pfs.images import ImageInfo
from trunkline.pps.claims import Handed
from trunkline.pps.images.resolving import CONTAINER, POD
from trunkline.pps.secrets import Given
from trunkline.pps.standing.wishes import Stand
from trunkline.wire.work import DATUMS, ELEMENT, WorkImage, WorkInput, WorkLimits, WorkSecret, WorkStep, table_to_bytes


def step_of(handed: Handed, image_filesets: Sequence[str], given: Given = Given()) -> WorkStep:
    """What the range's datums run, and on what. image_filesets: those of the image, if there is one.

    given: the secrets of its code.
    """
    code = code_digest(handed.spec.transform, handed.image.digest if handed.image is not None else "")
    step = _step(handed.spec, handed.image, image_filesets, given)
    return msgspec.structs.replace(
        step,
        image=msgspec.structs.replace(step.image, contained=handed.contained),
        inputs=_inputs(handed),
        code=code,
        output_commit=handed.leased.job.job.id,
        spec_commit=handed.spec_commit,
    )


def standing_step(stand: Stand, image_filesets: Sequence[str], given: Given) -> WorkStep:
    """What the code of a spout runs."""
    step = _step(stand.spec, stand.image, image_filesets, given)
    image = msgspec.structs.replace(step.image, contained=stand.version.runner in (CONTAINER, POD))
    return msgspec.structs.replace(step, image=image, spec_commit=stand.version.spec_commit)


def _step(spec: PipelineSpec, image: ImageInfo | None, filesets: Sequence[str], given: Given) -> WorkStep:
    transform = spec.transform
    return WorkStep(
        cmd=transform.cmd,
        stdin=transform.stdin,
        err_cmd=transform.err_cmd,
        err_stdin=transform.err_stdin,
        env=dict(transform.env),
        accept_return_code=transform.accept_return_code,
        working_dir=transform.working_dir,
        user=transform.user,
        datum_tries=spec.datum_tries,
        timeout_us=spec.datum_timeout_us,
        writable_inputs=spec.own.writable_inputs,
        image=_image(spec, image, filesets),
        secret_env=given.env,
        secrets=tuple(WorkSecret(path=one.path, files=one.files) for one in given.folders),
        standing=spec.service is not None or spec.spout is not None,
        batching=transform.datum_batching,
        batch_on=transform.datum_batching and spec.datum_set_spec == DatumSetSpec(),
        limits=_limits(spec.resource_limits),
        memory_volume=transform.memory_volume,
        s3_out=spec.s3_out,
    )


def _limits(given: Resources | None) -> WorkLimits:
    if given is None:
        return WorkLimits()
    return WorkLimits(
        memory_bytes=given.memory_bytes,
        cpu=given.cpu,
        disk_bytes=given.disk_bytes,
        memory=given.memory,
        disk=given.disk,
        gpus=given.gpu.number if given.gpu else 0,
    )


def _image(spec: PipelineSpec, image: ImageInfo | None, filesets: Sequence[str]) -> WorkImage:
    if image is None:
        return WorkImage(name=spec.transform.image)
    return WorkImage(
        name=spec.transform.image,
        digest=image.digest,
        filesets=tuple(filesets),
        env=dict(image.spec.env),
        working_dir=image.spec.working_dir,
        user=image.spec.user,
        python=image.spec.python,
        requirements=image.spec.requirements,
    )


def _inputs(handed: Handed) -> tuple[WorkInput, ...]:
    """One for each slot of the datum table, in its order: elements name them by position."""
    filesets = {one.commit: one.filesets for one in handed.inputs}
    finished = {one.commit: one.finished_us for one in handed.inputs}
    return tuple(
        WorkInput(
            name=slot.name,
            project=slot.project,
            repo=slot.repo,
            repo_type=slot.repo_type,
            branch=slot.branch,
            commit=slot.commit,
            filesets=filesets.get(Commit(slot.source, slot.commit), ()),
            empty_files=slot.empty_files,
            lazy=slot.lazy,
            s3=slot.s3,
            modified_us=finished.get(Commit(slot.source, slot.commit), 0),
        )
        for slot in handed.datums.slots
    )


def datums_of(datums: DatumTable, first: int, deaths: Mapping[int, int]) -> bytes:
    """The datums of a range that begins at row `first`, as `DATUMS`. deaths: by row, where a worker died on it."""
    count = len(datums)
    rows = np.arange(first, first + count)
    columns = [
        pa.array(rows),
        pa.array([raw.hex() for raw in datums.ids.to_pylist()]),
        pa.array([deaths.get(row, 0) for row in rows.tolist()], pa.int32()),
        _elements(datums),
    ]
    return table_to_bytes(pa.table(columns, schema=DATUMS))


def _elements(datums: DatumTable) -> pa.ListArray:
    used = datums.elements.take(datums.rows.flatten()).combine_chunks()
    hashes = used["hash"]
    known = pc.equal(pc.binary_length(hashes), 32)
    columns = {
        "input": used["slot"].cast(pa.int32()),
        "hash": pc.if_else(known, hashes, pa.scalar(None, pa.binary())).cast(pa.binary(32)),
    }
    arrays = [_whole(columns[each.name] if each.name in columns else used[each.name]) for each in ELEMENT]
    structs = pa.StructArray.from_arrays(arrays, fields=list(ELEMENT))
    lengths = pc.list_value_length(datums.rows).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, structs, type=DATUMS.field("elements").type)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
