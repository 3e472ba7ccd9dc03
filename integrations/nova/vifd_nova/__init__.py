"""Hands the plugging of ports from nova-compute to vifd."""

__version__ = "0.1.0"
