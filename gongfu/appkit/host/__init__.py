"""What runs apps: their processes, and everything they ask for, checked against what was granted."""
