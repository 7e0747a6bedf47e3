"""The pump's energy balance as FMUs (FMI 2 and 3), made from the same Python files."""
