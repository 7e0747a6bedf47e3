"""The app store: publications and their review, ratings, certification, plans and meters (docs/app-store.md)."""
