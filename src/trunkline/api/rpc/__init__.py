"""What every door stands on: registration, calls, threads under coroutines, events."""
