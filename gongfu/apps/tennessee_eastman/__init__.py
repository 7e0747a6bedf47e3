"""App for the Tennessee Eastman plant: mechanism models of its reactor."""
