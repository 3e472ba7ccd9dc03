"""What the contract suite must know of the OVS plugin."""

from __future__ import annotations

from vifd.testing.profile import Profile as Base


class Profile(Base):
    """The private switch has the userspace datapath only."""

    options = {"datapath_type": "netdev"}  # noqa: RUF012 - read only
