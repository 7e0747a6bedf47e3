"""What is counted of resolutions and registrations, by day, prefix, enterprise, industry and region."""
