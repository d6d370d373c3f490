"""fsck: what is stored is compared with the promises, and mended where that takes no guess."""

from trunkline.pfs.fsck.chunks import check_chunks
from trunkline.pfs.fsck.repair import repaired
from trunkline.pfs.fsck.whole import violations

__all__ = ["check_chunks", "repaired", "violations"]
