"""The trainer, offline: a table of healthy readings in, a bundle out. The only place that imports torch."""
