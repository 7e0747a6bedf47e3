"""Objects: files of any kind that are named by what is in them."""
