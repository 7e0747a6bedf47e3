"""Trust in records: batches that are signed once, with a proof a record. Pure."""
