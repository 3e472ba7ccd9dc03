"""What the contract suite must know of the plugin: the defaults fit."""

from vifd.testing.profile import Profile as Base


class Profile(Base):
    """Nothing differs."""
