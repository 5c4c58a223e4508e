"""Commands that print every number the documentation quotes: `python -m benchmarks.<name>`."""
