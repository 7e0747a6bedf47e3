"""HTTP pull: JSON documents that a machine or a service serves."""
