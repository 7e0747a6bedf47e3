"""Files: a folder of CSV and Parquet that other programs write."""
