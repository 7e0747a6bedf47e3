"""What people do with the service: applications, prefixes, templates, classes, ranges, grants, figures."""
