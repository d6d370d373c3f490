"""The gRPC door: decode, call one function of the engine, encode, map errors. No rule lives here."""
