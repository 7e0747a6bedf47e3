"""The identifier service's core: what there is of handles, and the only way to change it."""
