"""App: statistical process monitoring of a plant, told by which variables leave their usual relations."""
