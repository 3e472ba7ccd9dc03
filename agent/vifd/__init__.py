"""vifd: the per-host VIF daemon for hypervisors."""

__version__ = "0.1.0"
