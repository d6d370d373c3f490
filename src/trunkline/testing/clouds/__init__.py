"""Object stores of Google's and Azure's make on this machine: as much of their interfaces as our client asks for."""

from trunkline.testing.clouds.azure import AzureCloud
from trunkline.testing.clouds.google import GoogleCloud

__all__ = ["AzureCloud", "GoogleCloud"]
