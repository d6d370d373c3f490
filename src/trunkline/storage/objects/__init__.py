"""Places outside, by their URLs: object stores and web servers, read with resumption, written whole or not at all."""

from trunkline.storage.objects.places import SCHEMES, Place, is_place, open_place, shown
from trunkline.storage.objects.reading import Found, fetch, listed
from trunkline.storage.objects.writing import write

__all__ = ["SCHEMES", "Found", "Place", "fetch", "is_place", "listed", "open_place", "shown", "write"]
