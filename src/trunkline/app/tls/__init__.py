"""TLS at the door: the certificate and its renewal, who is let in, and what others are told."""
