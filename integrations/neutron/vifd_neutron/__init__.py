"""Binds ports to hosts of vifd, as the host can serve them."""

__version__ = "0.1.0"
