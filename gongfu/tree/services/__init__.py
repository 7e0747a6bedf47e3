"""Where the identifier services of the tree are: stated upwards, told downwards, and that prefixes have changed."""
