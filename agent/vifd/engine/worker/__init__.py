"""What a lane does with a batch of ports: step by step from the record to the proof."""

from vifd.engine.job import Job
from vifd.engine.worker.entries import ledger
from vifd.engine.worker.limits import Limits
from vifd.engine.worker.worker import Worker

__all__ = ["Job", "Limits", "Worker", "ledger"]
