"""What a developer of apps uses: a new app, its tests, running it while it is being written."""
