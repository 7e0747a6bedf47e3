"""What a cluster loses and how long it stands still when something is killed."""
