"""Ingest: points from MQTT connections to queryable history; throughput, CPU, memory, disk; peers in the same run."""
