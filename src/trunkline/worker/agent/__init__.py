"""The program beside user code: starts it inside namespaces and reports. Standard library only, one thread.

It speaks docs/formats/runner.md. Started by `trunkline.worker.launch` with a fresh interpreter, so that nothing of the
worker (threads, open files, secrets) is in it.
"""
