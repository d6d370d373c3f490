"""Services and spouts: code that runs for ever, each with a worker of its own outside the pool."""
