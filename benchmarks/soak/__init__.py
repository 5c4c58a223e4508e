"""What takes a clock or a rate to see: load, faults and restarts, with one table of what was found."""
