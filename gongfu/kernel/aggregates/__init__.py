"""Aggregates of OPC UA Part 13 (OPC 10000-13 v1.05) over columns. Pure."""
