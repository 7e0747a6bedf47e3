"""One node under the load of a plant: sustained rates, bulk, single messages, held connections, and peers."""
