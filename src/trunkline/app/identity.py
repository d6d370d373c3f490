"""Who this server is: ids drawn once, when its data folder is made."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss, FailedPrecondition


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids of 32 hex digits. Clients keep the second to notice that an address leads elsewhere now.

    storage: the object store that the bytes of files lie in, without its endpoint, which may move; "": the data folder.
    """

    cluster_id: str
    deployment_id: str
    storage: str = ""


def identity_of(data: Path, ambient: Ambient, storage: str = "") -> Identity:
    """The ids kept in `data`, drawn if there are none. Raises DataLoss where the file holds something else.

    storage: where the bytes are said to lie. Raises FailedPrecondition where they have lain elsewhere.
    """
    path = data / "identity.json"
    place = storage.partition("?")[0].rstrip("/")
    try:
        kept = Identity(**json.loads(path.read_text()))
        if kept.storage != place:
            there = f"start it with --storage {kept.storage}" if kept.storage else "start it without --storage"
            raise FailedPrecondition(
                f"the server of {data} does not keep its bytes in {place or 'that folder'}; {there}"
            )
        return kept
    except FileNotFoundError:
        drawn = Identity(ambient.new_id(), ambient.new_id(), place)
    except (ValueError, TypeError) as error:
        raise DataLoss(f"{path} is damaged; delete it and the server draws new ids ({error})") from error
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(asdict(drawn), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return drawn
