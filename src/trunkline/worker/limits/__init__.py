"""What a spec's `resource_limits` come to on this machine."""
