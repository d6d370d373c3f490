"""User code in containers of a Docker or Podman engine on this machine, each with the shim as its first process."""
