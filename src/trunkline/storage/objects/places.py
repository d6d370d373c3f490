"""From a URL to the object store, and the path in it, that it means; and the store's errors in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from trunkline.errors import InvalidArgument, NotFound, PermissionDenied, TrunklineError, Unavailable
from trunkline.storage.objects.handshake import refusal

if TYPE_CHECKING:
    from obstore.store import ObjectStore

S3 = ("s3", "s3a")
GOOGLE = ("gs", "gcs")
AZURE = ("az", "azure", "as", "abfs", "abfss", "wasb", "wasbs")
SCHEMES = (*S3, *GOOGLE, *AZURE)
"""Object stores: of Amazon and those that speak like it, of Google, of Azure."""

_NO_KEYS = "169.254.169.254"
"""Where a store's client looks for keys when it was given none; outside of a cloud nobody answers there."""
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
"""How the stores say that there is no such bucket; by its status alone that is a missing object, or a failure."""
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT_KEY"

_GOOGLE_KEYS = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_BEARER_TOKEN"),
    *("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY"),
)

_CLIENT: dict[str, Any] = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(minutes=10)}
_RETRY: dict[str, Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


@dataclass(frozen=True, slots=True)
class Place:
    """A path in an object store. `shown` is the URL without what it says about keys or endpoints."""

    store: ObjectStore
    path: str
    shown: str

    def below(self, path: str) -> Place:
        """The place that `path` leads to from here."""
        joined = "/".join(part for part in (self.path, path.strip("/")) if part)
        return Place(self.store, joined, f"{self.shown.rstrip('/')}/{path.strip('/')}")


def is_place(url: str) -> bool:
    """Whether this is the URL of an object store."""
    return urlsplit(url).scheme.lower() in SCHEMES


def shown(url: str) -> str:
    """A URL without what it says about keys or endpoints, for people."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[0] or parts.netloc
    return f"{parts.scheme.lower()}://{netloc}/{unquote(parts.path).strip('/')}"


def open_place(url: str) -> Place:
    """The place of a URL: s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or wasb://CONTAINER@ACCOUNT.HOST/PATH.

    An `endpoint`, a `region` or an `account` may be said as in s3://BUCKET/PATH?endpoint=http://HOST:PORT; for Azure's
    the account may be the first step of the endpoint's path. Keys come from the environment, by the names that the
    stores' own tools use; who has none for an endpoint in the place of Google's asks it unsigned. Nothing is asked of
    the store yet. Raises InvalidArgument.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise InvalidArgument(f'"{url}" is no URL of an object store: it begins with {", ".join(SCHEMES)}')
    if not parts.netloc:
        raise InvalidArgument(f'"{url}" names no bucket: write {scheme}://BUCKET/PATH')
    said = dict(parse_qsl(parts.query))
    path = unquote(parts.path).strip("/")
    name = shown(url)
    try:
        if scheme in S3:
            store = _s3(parts, said)
        elif scheme in GOOGLE:
            store = _google(parts, said)
        else:
            store = _azure(parts, said)
    except (ValueError, TypeError, _base_error()) as error:
        raise InvalidArgument(f"{name} cannot be opened: {_first_line(error)}") from error
    return Place(store, path, name)


def _s3(parts: SplitResult, said: Mapping[str, str]) -> ObjectStore:
    from obstore.store import S3Store

    endpoint = said.get("endpoint") or _environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    region = said.get("region") or _environment("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1"
    config: dict[str, Any] = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint if "://" in endpoint else f"https://{endpoint}"
    client = {**_CLIENT, "allow_http": str(endpoint).startswith("http://")}
    return S3Store(parts.netloc, config=config, client_options=client, retry_config=_RETRY)  # type: ignore[arg-type]


def _google(parts: SplitResult, said: Mapping[str, str]) -> ObjectStore:
    from obstore.store import GCSStore

    endpoint = _endpoint(said)
    config: dict[str, Any] = {"base_url": endpoint} if endpoint else {}
    host = urlsplit(endpoint).hostname or ""
    if endpoint and not host.endswith(".googleapis.com") and not _environment(*_GOOGLE_KEYS):
        # Such a server knows no tokens of Google's; only a key that says so keeps the client from asking for one.
        key = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
        config["service_account_key"] = json.dumps({**key, "private_key_id": ""})
    return GCSStore(parts.netloc, config=config, client_options=_client(endpoint), retry_config=_RETRY)  # type: ignore[arg-type]


def _azure(parts: SplitResult, said: Mapping[str, str]) -> ObjectStore:
    from obstore.store import AzureStore

    container, _, host = parts.netloc.rpartition("@")
    endpoint = _endpoint(said)
    at = urlsplit(endpoint)
    # The account is the first step of the path where it is not the first label of the host's name.
    near = at.path.strip("/").partition("/")[0] or (at.netloc.partition(".")[0] if ".blob." in at.netloc else "")
    account = said.get("account") or (host.partition(".")[0] if container else "") or near
    config: dict[str, Any] = {"account_name": account} if account else {}
    if endpoint:
        config["endpoint"] = endpoint
    return AzureStore(container or host, config=config, client_options=_client(endpoint), retry_config=_RETRY)  # type: ignore[arg-type]


def _endpoint(said: Mapping[str, str]) -> str:
    """The endpoint that a URL names, with its scheme, or ""."""
    endpoint = said.get("endpoint", "").rstrip("/")
    return endpoint if not endpoint or "://" in endpoint else f"https://{endpoint}"


def _client(endpoint: str) -> dict[str, Any]:
    return {**_CLIENT, "allow_http": endpoint.startswith("http://")}


def _environment(*names: str) -> str:
    import os

    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _base_error() -> type[Exception]:
    from obstore.exceptions import BaseError

    return BaseError


def translated(error: Exception, shown: str, doing: str) -> TrunklineError:
    """What a store's error means. doing: what was tried, as "read"."""
    from obstore import exceptions

    why = refusal(str(error)) or _first_line(error)
    if _NO_KEYS in str(error):
        return PermissionDenied(
            f"cannot {doing} {shown}: the server has no keys for it; set {_KEYS} in the environment of pachd"
        )
    if no_bucket(error):
        return NotFound(f"cannot {doing} {shown}: there is no such bucket; make it, or name one that is there")
    match error:
        case FileNotFoundError():
            return NotFound(f"{shown} not found: {why}")
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return PermissionDenied(
                f"the server may not {doing} {shown}: {why}; give pachd keys that may, in its environment"
            )
        case exceptions.InvalidPathError() | ValueError():
            return InvalidArgument(f"cannot {doing} {shown}: {why}")
    return Unavailable(f"cannot {doing} {shown}: {why}")


def no_bucket(error: Exception) -> bool:
    """Whether a store has said that the bucket itself is not there."""
    return any(said in str(error) for said in _NO_BUCKET)


def store_errors() -> tuple[type[Exception], ...]:
    """What calls to a store raise; the rest is no answer of a store."""
    return (_base_error(), OSError, ValueError)


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return text.partition(": <?xml")[0].strip() or type(error).__name__
