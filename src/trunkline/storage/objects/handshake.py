"""Why a store's client and its server came to no TLS connection, in words.

The client says only that it could not send, and hides the reason in what it tells programmers of its failure.
"""

from __future__ import annotations

import re

_REASON = re.compile(r"\b(?:InvalidCertificate|InvalidMessage)\(\s*(?:Other\(\s*OtherError\(\s*)?(\w+)")
_TRUST = (
    "have it, or who signed it, among those that the machine trusts; in a cluster, by the chart's global.customCaCerts"
)
_WORDS = {
    "UnknownIssuer": f"the server's certificate is not trusted: {_TRUST}",
    "BadSignature": f"the server's certificate is not trusted: {_TRUST}",  # another has the name of one that is
    "Expired": "the server's certificate has expired: renew it",
    "NotValidYet": "the server's certificate is not valid yet: look at both clocks",
    "NotValidForName": "the server's certificate is for another name: write the endpoint as the certificate has it",
    "CaUsedAsEndEntity": (
        "the server's certificate is an authority's own, which signs others: make one with basicConstraints=CA:FALSE"
    ),
    "InvalidContentType": "what answers there does not speak TLS: write the endpoint with http://",
}


def refusal(told: str) -> str:
    """What the connection failed for, and what to do; "" where it is nothing of TLS. told: all that the client said."""
    found = _REASON.search(told)
    if found is None:
        return ""
    name = found[1].removesuffix("Context")
    return _WORDS.get(name, f"the server's certificate was refused ({name})" if "Certificate" in found[0] else "")
