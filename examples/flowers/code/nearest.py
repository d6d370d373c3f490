"""What kind a flower is, says a model: the kind that most of its nearest neighbours are."""

from __future__ import annotations

from collections import Counter
from typing import Any


def kind_of(model: dict[str, Any], leaf: float, petal: float) -> str:
    """The kind, of equals the one whose flower is nearer."""

    def distance(known: tuple[float, float, str]) -> float:
        return float((known[0] - leaf) ** 2 + model["weight"] * (known[1] - petal) ** 2)

    nearest = sorted(model["known"], key=distance)[: model["neighbours"]]
    return str(Counter(kind for _, _, kind in nearest).most_common(1)[0][0])
