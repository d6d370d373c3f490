"""The shim: a small static program in C that runs user code in any container (docs/formats/runner.md)."""
