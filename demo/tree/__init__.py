"""A tree on one machine: nation, province, two enterprises and three sites, each a node of its own."""
