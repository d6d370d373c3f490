"""What calls that are not built answer: the call by name, and what to do instead."""

from __future__ import annotations

AUTH_IS_OFF = "the auth service is not activated"
"""Clients look for these words to tell a server without auth from a broken one."""

BY_SERVICE = {
    "auth_v2.API": f"{AUTH_IS_OFF}: {{call}} is not built; this server trusts whoever reaches its address",
    "identity_v2.API": f"{AUTH_IS_OFF}: {{call}} is not built, for nobody logs in here; use the server as it is",
    "license_v2.API": "{call} is not built: nothing here needs a licence; use the server as it is",
    "debug_v2.Debug": "{call} is not built; `pachctl debug dump` and `pachctl debug profile` say what a server does",
    "proxy.API": "{call} is not built; follow commits with pfs_v2.API/SubscribeCommit instead",
    "pjs.API": "{call} is not built; run code over data with a pipeline instead",
    "snapshot.API": "{call} is not built; stop the server and copy its data folder instead",
}

BY_CALL = dict.fromkeys(
    ("pfs_v2.API/ActivateAuth", "pps_v2.API/ActivateAuth"),
    f"{AUTH_IS_OFF}: {{call}} is not built; this server trusts whoever reaches its address",
)

BY_CALL |= {
    "debug_v2.Debug/Trace": "{call} is not built: pachd is no Go program; use `pachctl debug profile cpu` instead",
}

OTHERWISE = "{call} is not built in this version of Trunkline; `pachctl --help` lists what is"


def sentence(method: str) -> str:
    """The answer for `method`, a path such as /pfs_v2.API/Fsck."""
    call = method.strip("/")
    service = call.rpartition("/")[0]
    return BY_CALL.get(call, BY_SERVICE.get(service, OTHERWISE)).format(call=call)
