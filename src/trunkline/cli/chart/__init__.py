"""The chart of the server, rendered without Helm: its templates, their values, the manifests that come of them."""
