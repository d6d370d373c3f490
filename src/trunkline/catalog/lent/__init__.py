"""File sets that clients know by an id: leases that run out, and cache entries that keep them."""
