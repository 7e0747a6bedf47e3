"""One file per revision, named ``<number>_<subject>.py``."""
