"""HTTP as the identifier service speaks it: a listener of its own beside the Handle port."""
