"""What a server does about pods: wires the fleet of Kubernetes to the pipelines in the catalog."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from trunkline.ambient import Ambient
from trunkline.app.config import Config
from trunkline.app.pods.settings import PodConfig
from trunkline.app.tls.trusted import TRUSTED
from trunkline.app.worker import client_settings
from trunkline.catalog.engine import Catalog
from trunkline.catalog.work import containers
from trunkline.errors import FailedPrecondition
from trunkline.fleet.happened import Happened
from trunkline.fleet.kubernetes.access import find_access
from trunkline.fleet.kubernetes.api import HttpCluster
from trunkline.fleet.kubernetes.fleet import PodFleet
from trunkline.fleet.kubernetes.objects.manifests import check
from trunkline.fleet.kubernetes.wanted import WORKER_USER, House, Wanted
from trunkline.model.specs import PipelineSpec
from trunkline.pps.images.resolving import Rules
from trunkline.pps.pods.wishes import PodWish, pod_wishes, tell
from trunkline.pps.secrets import Vault

_STORE_KEYS = ("AWS_", "GOOGLE_", "AZURE_")
_PROXY = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
_RIGHTS = {
    "s3": ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ACCESS_KEY_ID"),
    "g": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    "a": ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCOUNT_KEY"),
}
"""By how a store's URL begins: the variable with a file that gives rights to it, and the one with a key."""

_log = logging.getLogger("trunkline.kubernetes")


class PodSide:
    """The fleet of pods of a server."""

    def __init__(self, config: PodConfig, server: str, blobs: str, ambient: Ambient) -> None:
        self._cluster = HttpCluster(find_access(os.environ, config.kubeconfig), config.namespace)
        self._config, self._ambient = config, ambient
        self.house = House(
            server=server,
            namespace=self._cluster.namespace,
            image=config.image,
            address=config.address,
            blobs=blobs,
            claim=config.claim,
            account=config.account,
            user=os.getuid() if config.claim else WORKER_USER,  # who shares a folder with the server is the same user
            given=store_keys(os.environ, blobs, config.account),
            trusted=config.trust,
            image_pull_policy=config.pull_policy,
            pull_secrets=config.pull_secrets,
            requests=config.requests,
            sidecar_requests=config.sidecar_requests,
        )
        self._fleet: PodFleet | None = None

    def rules(self, rules: Rules) -> Rules:
        """What this server allows, with its pods. Raises Unavailable, FailedPrecondition."""
        return replace(rules, cluster=f"Kubernetes {self._cluster.version()}", admit=self.admit)

    def admit(self, spec: PipelineSpec) -> None:
        """Raise InvalidArgument for a spec of which no pods can be made."""
        check(Wanted(spec.pipeline, 1, spec), self.house)

    def start(self, owner: PodOwner, address: str) -> None:
        """Look after pods until stopped. address: where this server listens."""
        self.house = replace(self.house, address=self._config.address or address)
        self._fleet = PodFleet(self._cluster, self.house, owner, self._ambient)
        self._fleet.start()

    def stop(self) -> None:
        """Look after them no more; they go on."""
        if self._fleet is not None:
            self._fleet.stop()

    def trouble(self) -> str:
        """Why the cluster cannot be seen; ""."""
        return self._fleet.trouble() if self._fleet is not None else ""


class PodOwner:
    """Fills `fleet.Owner` from the catalog. token: what workers of a name show."""

    def __init__(
        self,
        catalog: Catalog,
        vault: Vault,
        happened: Happened,
        address: Callable[[], str],
        gone: Callable[[str, str, bool], None],
        token: Callable[[str], str],
    ) -> None:
        self._catalog, self._vault, self._happened = catalog, vault, happened
        self._address, self._gone, self._token = address, gone, token
        self._at = -1
        self._wanted: list[Wanted] = []
        self._pods: dict[str, int] = {}
        self._problems: dict[str, str] = {}

    def wanted(self) -> Sequence[Wanted]:
        """What is to run; the rows are asked only after something has happened."""
        at = self._catalog.wake.seq
        if at != self._at:
            wishes = self._catalog.read(partial(pod_wishes, vault=self._vault))
            self._wanted = [self._want(wish) for wish in wishes]
            self._pods = {one.name: one.replicas for one in self._wanted}
            self._problems = {one.name: wish.problem for one, wish in zip(self._wanted, wishes, strict=True)}
            self._at = at
        return self._wanted

    def _want(self, wish: PodWish) -> Wanted:
        folders = {one.path: one.files for one in wish.given.folders}
        if wish.kind == "SPOUT":
            settings = client_settings(f"grpc://{self._address()}", wish.pipeline.project)
            folders[settings.path] = dict(settings.files)
        one = Wanted(wish.pipeline, wish.version, wish.spec, wish.kind, 0, wish.given.env, folders, wish.logins)
        pods = 0 if wish.problem else wish.pods
        if wish.grows and pods:
            pods = max(pods, self._pods.get(one.name, 0))
        return replace(one, replicas=pods, token=self._token(one.name))

    def told(self, one: Wanted, reason: str) -> None:
        """How a version's pods do."""
        why = self._problems.get(one.name) or reason
        if why:
            _log.warning("%s: %s", one.pipeline, why)
        self._catalog.transact(lambda tx: tell(tx, one.pipeline, one.version, why))

    def gone(self, worker: str, why: str, counts: bool) -> None:
        """A pod is gone with what it worked on."""
        self._gone(worker, why, counts)

    def images(self, digests: Mapping[str, str]) -> None:
        """What the code of pods runs in."""
        self._catalog.transact(lambda tx: containers.set_pod_images(tx, digests))

    def happened(self, kind: str, reason: str, about: str, message: str) -> None:
        """Keep an event for who asks."""
        self._happened.note(kind, reason, "", message, about)


def open_pods(config: Config, server: str, ambient: Ambient) -> PodSide | None:
    """The side of a server that has pods; None: it has none. Raises FailedPrecondition where no cluster is known."""
    return PodSide(config.pods, server, config.blobs, ambient) if config.pods is not None else None


def store_keys(environ: Mapping[str, str], blobs: str, account: str = "") -> dict[str, str]:
    """The variables by which workers reach the object store as the server does: keys, proxies, whom to trust.

    account: that pods have.

    Raises FailedPrecondition where the server's own right lies in a file of its own, and pods have no account.
    """
    scheme = blobs.partition("://")[0]
    file, key = next((told for letter, told in _RIGHTS.items() if scheme.startswith(letter)), ("", ""))
    if file in environ and key not in environ and not account:
        raise FailedPrecondition(
            f"this server reaches its object store by the file of {file}, which pods do not have: give {key}, or name "
            "a ServiceAccount that has the same right with --worker-account"
        )
    files = {name for name, _ in _RIGHTS.values()}
    told = {name for name in environ if name.startswith(_STORE_KEYS) or name in _PROXY or name == TRUSTED}
    return {name: value for name, value in environ.items() if name in told - files}
