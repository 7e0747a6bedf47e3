"""Link: one parent and one child exchange numbered messages, each taken once, over anything that loses or repeats."""
