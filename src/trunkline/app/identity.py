"""Who this server is: ids drawn once, when its data folder is made."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids of 32 hex digits. Clients keep the second to notice that an address leads elsewhere now."""

    cluster_id: str
    deployment_id: str


def identity_of(data: Path, ambient: Ambient) -> Identity:
    """The ids kept in `data`, drawn if there are none. Raises DataLoss where the file holds something else."""
    path = data / "identity.json"
    try:
        return Identity(**json.loads(path.read_text()))
    except FileNotFoundError:
        drawn = Identity(ambient.new_id(), ambient.new_id())
    except (ValueError, TypeError) as error:
        raise DataLoss(f"{path} is damaged; delete it and the server draws new ids ({error})") from error
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(asdict(drawn), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return drawn
