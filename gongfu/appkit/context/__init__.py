"""What the process of an app has: its functions, its context, its records. Runs confined."""
