"""Sparkplug B upwards: this site as an edge node. The host application is ``gongfu.ingest.sparkplug``."""
