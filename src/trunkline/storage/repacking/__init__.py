"""Live pieces of mostly dead packs put together anew, and file sets that then point to the new places."""
