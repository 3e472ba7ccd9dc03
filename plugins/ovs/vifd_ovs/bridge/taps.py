"""Taps that stand on Open vSwitch: removed, given back, and what is heard of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vifd.drivers import Drivers
from vifd.plugin import tap
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.wiring import Before


def remove_devices(drivers: Drivers, works: Iterable[tap.TapWork]) -> None:
    """Remove the devices of several ports, and what was said of them to the host."""
    Hearing(drivers).forget(tap.remove_all(drivers.links, list(works)))


def give_back(drivers: Drivers, works: Iterable[Any]) -> None:
    """Give devices back that were adopted, and have the host hear them."""
    works = list(works)
    Hearing(drivers).forget(work.device for work in works)
    for work in works:
        tap.give_back(drivers.links, work, work.names.before or Before())
