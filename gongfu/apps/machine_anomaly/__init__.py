"""App: anomalies of single signals of machines, found without labels and without training."""
