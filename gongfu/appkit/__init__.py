"""App kit: the public contract of apps and the host that runs them. Apps import only this package."""
