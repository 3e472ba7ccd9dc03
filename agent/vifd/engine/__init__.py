"""The engine: lanes, the intake, retries, and the one place where results are recorded."""

from vifd.engine.engine import Engine
from vifd.engine.settings import Settings

__all__ = ["Engine", "Settings"]
