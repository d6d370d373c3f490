"""Code that runs for ever: services, with a datum, and spouts, without one."""
