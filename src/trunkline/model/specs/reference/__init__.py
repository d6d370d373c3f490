"""What each field of a spec means, as data, and what is made of it: a JSON Schema and a page to read."""
