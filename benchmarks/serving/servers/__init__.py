"""The peers' servers: each file runs in its peer's own environment, with this folder first on the path."""
