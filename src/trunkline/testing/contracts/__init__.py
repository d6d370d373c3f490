"""One test class a port: who implements the port inherits the class, supplies a fixture, and keeps every promise."""
