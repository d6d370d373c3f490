"""The S3 interface: requests of S3's REST protocol, answered from a shop of buckets."""
