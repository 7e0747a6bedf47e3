"""Other software under the same load in the same run."""
