"""Back-tests: a rule over history, before it goes live."""
