"""Data templates (数据模板): which attributes the records of a class of things have. Pure."""
