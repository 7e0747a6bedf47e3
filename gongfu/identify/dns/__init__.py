"""The DNS face: handles, OIDs (ITU-T X.672) and GS1 keys (ONS 2.0) as names below zones of this node."""
