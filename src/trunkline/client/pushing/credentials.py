"""Who we are to a registry: as `docker login` left it, in ~/.docker/config.json or a credential helper, or asked."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping

from trunkline.errors import FailedPrecondition, InvalidArgument

Ask = Callable[[str], str]
"""Shows a prompt and reads a password, unseen."""


def credentials_for(host: str, username: str, ask: Ask) -> Mapping[str, str]:
    """What to show the registry `host`; {}: nothing. Raises FailedPrecondition where that cannot be found out.

    username: whoever that is, if not the one who is logged in.
    """
    found = _stored(host)
    if not username or found.get("username") == username:
        return found
    password = ask(f"Password of {username} at {host}: ")
    if not password:
        raise InvalidArgument(f"no password was given for {username} at {host}")
    return {"username": username, "password": password, "serveraddress": host}


def ask_on_terminal(prompt: str) -> str:
    """Read a password from the terminal, even where standard input is a file. Raises FailedPrecondition: none there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise FailedPrecondition(
            f"{prompt.removesuffix(': ')} is wanted, and there is no terminal to ask on; log in before this, with "
            "`docker login HOST --username NAME --password-stdin`"
        ) from None
    return getpass.getpass(prompt)


def _stored(host: str) -> dict[str, str]:
    """As `docker login` left it. No error of its ever holds a password."""
    from docker import auth
    from docker.errors import DockerException

    try:
        entry = auth.load_config().resolve_authconfig(host)
    except (DockerException, ValueError) as error:
        raise FailedPrecondition(
            f"the credentials for {host} cannot be read as `docker login` left them: {type(error).__name__}; see "
            "~/.docker/config.json and its credential helpers"
        ) from None
    return {key.lower(): value for key, value in (entry or {}).items() if isinstance(value, str)}
