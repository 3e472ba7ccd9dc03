"""What a lane does with a batch of ports: step by step from the record to the proof."""

from vifd.worker.entries import ledger
from vifd.worker.job import Job
from vifd.worker.limits import Limits
from vifd.worker.worker import Worker

__all__ = ["Job", "Limits", "Worker", "ledger"]
