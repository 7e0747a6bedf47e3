"""Apps that are installed: what is kept of them, and their life: install, upgrade, roll back, remove."""
