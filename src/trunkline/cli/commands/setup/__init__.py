"""Commands on the client and the server as a whole."""
