"""Thing models: what an asset of a type has, in which unit and range, and what becomes of values that do not fit."""
