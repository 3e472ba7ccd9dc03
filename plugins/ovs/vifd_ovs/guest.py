"""What the guest's device shall be like; the same for all plugins with a device model."""

from __future__ import annotations

from vifd.guest import model, queues

__all__ = ["model", "queues"]
