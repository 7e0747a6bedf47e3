"""Models on history: jobs that compute what the stream would have given."""
