"""The protocol's XML: answers written, bodies of requests read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import quote

from trunkline.ambient import Micros
from trunkline.gateway.s3.faults import Fault

SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_BYTES = 4 << 20
"""No request's document is larger: the names of 10,000 parts, or of 1000 objects."""


def document(name: str, fields: Mapping[str, object], space: str = SPACE) -> bytes:
    """An XML document. Lists repeat their element; what is None is left out."""
    root = ET.Element(name, {"xmlns": space} if space else {})
    _fill(root, fields)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _fill(parent: ET.Element, fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        several: Sequence[object] = value if isinstance(value, list | tuple) else [value]
        for one in several:
            if one is None:
                continue
            child = ET.SubElement(parent, name)
            if isinstance(one, Mapping):
                _fill(child, one)
            elif isinstance(one, bool):
                child.text = "true" if one else "false"
            else:
                child.text = str(one)


def parsed(data: bytes, root: str) -> ET.Element:
    """The root of a request's document, its names without namespaces. Raises Fault MalformedXML."""
    if b"<!" in data:
        raise Fault("MalformedXML", "the document has a declaration or a comment, and none is expected")
    try:
        found = ET.fromstring(data)
    except ET.ParseError as error:
        raise Fault("MalformedXML", f"the document cannot be read: {error}") from None
    for element in found.iter():
        element.tag = element.tag.rpartition("}")[2]
    if found.tag != root:
        raise Fault("MalformedXML", f"the document is a {found.tag[:60]}, and a {root} is expected")
    return found


def text_of(element: ET.Element, name: str) -> str:
    """The text of a child; "" if it has none."""
    return element.findtext(name) or ""


def moment(at_us: Micros) -> str:
    """An instant as documents have it."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_us // 1000 % 1000:03d}Z"


def http_date(at_us: Micros) -> str:
    """An instant as headers have it."""
    return formatdate(at_us // 1_000_000, usegmt=True)


def url_encoded(key: str) -> str:
    """A key, as clients want it that ask for encoding-type=url."""
    return quote(key, safe="/-_.~")
