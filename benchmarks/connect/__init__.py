"""Speed of connections to machines, against named peers in the same run."""
