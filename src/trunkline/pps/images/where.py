"""The image that a version of a pipeline runs in, wherever that is kept."""

from __future__ import annotations

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import containers
from trunkline.catalog.work.pipelines import VersionRow
from trunkline.pfs.images import ImageInfo, ImageSpec, inspect_image


def image_of(tx: Tx, version: VersionRow) -> ImageInfo | None:
    """The registered image or the container's; None: the host's own files. Raises NotFound."""
    if not version.image_digest:  # the host's own files, or a pod
        return None
    if version.runner != containers.CONTAINER:
        return inspect_image(tx, version.image_digest)
    found = containers.find_image(tx, version.image_digest)
    spec = ImageSpec(env=found.env, working_dir=found.working_dir) if found else ImageSpec()
    return ImageInfo("", version.image_digest, spec, files=0, size_bytes=0, created_us=version.created_us)
