"""Look-up and decision tables: a document, checked, and evaluated on columns. See docs/models/tables.md."""
