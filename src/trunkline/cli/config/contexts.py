"""One context: what it holds, and what may be put into one."""

from __future__ import annotations

from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT

DEFAULT_ADDRESS = "grpc://localhost:30650"
FIELDS: dict[str, type | tuple[type, ...]] = {
    "source": (str, int),
    "pachd_address": str,
    "server_cas": str,
    "session_token": str,
    "active_transaction": str,
    "cluster_name": str,
    "auth_info": str,
    "namespace": str,
    "cluster_deployment_id": str,
    "project": str,
    "enterprise_server": bool,
    "port_forwarders": dict,
}
"""The keys that clients of Pachyderm know, with the type of each."""


class Context:
    """A view of one context in the config file. Changing it changes the file's document, not yet the file."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name = name
        self.data = data

    @property
    def address(self) -> str:
        """Where its server listens."""
        return self._text("pachd_address") or DEFAULT_ADDRESS

    @property
    def project(self) -> str:
        """The project that commands work in unless told otherwise."""
        return self._text("project") or DEFAULT_PROJECT

    @property
    def token(self) -> str:
        """The session token; empty if nobody is logged in."""
        return self._text("session_token")

    @property
    def transaction(self) -> str:
        """The id of the open transaction; empty if none is."""
        return self._text("active_transaction")

    @property
    def root_certificates(self) -> bytes | None:
        """PEM certificates to trust for this server; None for the machine's own list. Raises InvalidArgument."""
        encoded = self._text("server_cas")
        if not encoded:
            return None
        import base64
        import binascii

        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise InvalidArgument(f'context "{self.name}": server_cas is not base64 ({error})') from error

    def set(self, field: str, value: Any) -> None:
        """Set one field; an empty value takes the field away."""
        if value in ("", None):
            self.data.pop(field, None)
        else:
            self.data[field] = value

    def _text(self, field: str) -> str:
        value = self.data.get(field, "")
        return value if isinstance(value, str) else ""


def check_fields(data: object) -> dict[str, Any]:
    """`data`, if it can be a context. Raises InvalidArgument with every complaint at once."""
    if not isinstance(data, dict):
        raise InvalidArgument('a context is a JSON object, such as {"pachd_address": "grpc://localhost:30650"}')
    complaints = []
    for key, value in data.items():
        if key not in FIELDS:
            import difflib

            near = difflib.get_close_matches(key, FIELDS, 1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; the fields are {', '.join(FIELDS)}"
            complaints.append(f'unknown field "{key}"{hint}')
        elif not isinstance(value, FIELDS[key]):
            complaints.append(f'field "{key}" cannot be {value!r}')
    if complaints:
        raise InvalidArgument("\n".join(complaints))
    return data
