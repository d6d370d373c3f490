"""What a worker does: lay out a datum, run user code, collect the output. It knows ports, no server."""
