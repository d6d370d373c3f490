"""The calls by which a client finds out what it talks to: version, cluster, enterprise state."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from trunkline import __version__
from trunkline.api.rpc.call import Call
from trunkline.wire.gen import admin_v2_pb2, enterprise_v2_pb2, license_v2_pb2, versionpb_v2_pb2

SPOKEN = (2, 12, 2)
"""The version whose interface this server speaks. Clients compare major and minor with their own."""

END_OF_TIME_S = 253_402_300_799
"""The last second of the year 9999: the latest instant that a Timestamp may hold."""


class VersionDoor:
    """Which version speaks here. Our own version goes into the part that clients only print."""

    service = "versionpb_v2.API"

    async def GetVersion(self, _request: Empty, _call: Call) -> versionpb_v2_pb2.Version:
        """The interface version, and who implements it."""
        major, minor, micro = SPOKEN
        return versionpb_v2_pb2.Version(
            major=major,
            minor=minor,
            micro=micro,
            additional=f"-trunkline.{__version__}",
            platform=f"{sys.platform}/{platform.machine()}",
        )


@dataclass(frozen=True, slots=True)
class AdminDoor:
    """Which cluster this is. `cluster_id` and `deployment_id` are ids drawn when the data folder was made.

    metadata: what people attached to the cluster.
    """

    cluster_id: str
    deployment_id: str
    metadata: Callable[[], Mapping[str, str]] = dict
    service: str = "admin_v2.API"

    def InspectCluster(self, request: admin_v2_pb2.InspectClusterRequest, _call: Call) -> admin_v2_pb2.ClusterInfo:
        """Ids, and a warning for a client of another major version."""
        info = admin_v2_pb2.ClusterInfo(
            id=self.cluster_id, deployment_id=self.deployment_id, warnings_ok=True, metadata=self.metadata()
        )
        client = request.client_version
        if request.HasField("client_version") and client.major not in (0, SPOKEN[0]):
            info.warnings.append(
                f"this server speaks version {SPOKEN[0]}.{SPOKEN[1]} of the interface, the client version "
                f"{client.major}.{client.minor}; some calls may not work"
            )
        return info


class EnterpriseDoor:
    """Everything is licensed, for ever."""

    service = "enterprise_v2.API"

    async def GetState(
        self, _request: enterprise_v2_pb2.GetStateRequest, _call: Call
    ) -> enterprise_v2_pb2.GetStateResponse:
        """Active, without an end."""
        return enterprise_v2_pb2.GetStateResponse(state=enterprise_v2_pb2.ACTIVE, info=_for_ever())

    async def PauseStatus(
        self, _request: enterprise_v2_pb2.PauseStatusRequest, _call: Call
    ) -> enterprise_v2_pb2.PauseStatusResponse:
        """Never paused."""
        return enterprise_v2_pb2.PauseStatusResponse(status=enterprise_v2_pb2.PauseStatusResponse.UNPAUSED)


class LicenseDoor:
    """No licence is needed; asking for it is answered all the same."""

    service = "license_v2.API"

    async def GetActivationCode(
        self, _request: license_v2_pb2.GetActivationCodeRequest, _call: Call
    ) -> license_v2_pb2.GetActivationCodeResponse:
        """Active, without an end; the code is empty."""
        return license_v2_pb2.GetActivationCodeResponse(state=enterprise_v2_pb2.ACTIVE, info=_for_ever())

    async def DeleteAll(
        self, _request: license_v2_pb2.DeleteAllRequest, _call: Call
    ) -> license_v2_pb2.DeleteAllResponse:
        """No licence is kept, so none is left: older clients ask this first when they empty a server."""
        return license_v2_pb2.DeleteAllResponse()


def _for_ever() -> enterprise_v2_pb2.TokenInfo:
    return enterprise_v2_pb2.TokenInfo(expires=Timestamp(seconds=END_OF_TIME_S))
