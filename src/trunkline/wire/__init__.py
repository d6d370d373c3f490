"""Messages on the wire: generated protobuf code in `gen`, and its translation to and from the nouns of `model`."""
