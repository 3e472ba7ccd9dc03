"""What the suite must know of a plugin beyond its entry point."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import msgspec
from oslo_config import cfg

from vifd.drivers import Drivers
from vifd.model import Attachment, decode
from vifd.plugin import Host, VifPlugin, inspection
from vifd.testing import attachments, machines

#: The entry-point group in which a profile is found by its plugin's name.
GROUP = "vifd.test_profiles"


class Profile:
    """Subclass it and override what differs for your plugin; the defaults follow from its advert.

    :cvar makes: whether the plugin makes anything on the host; one that only observes does not
    :cvar bridges: bridges of the switch whose ports and flows are counted
    :cvar options: values for the plugin's option group
    :cvar effects: calls of the plugin's own that change the host past the drivers, as
        ``package.module:Class.method``: a kill is tried before and after each of them as well
    :param cls: the plugin's class
    """

    makes: bool = True
    bridges: tuple[str, ...] = ("br-int",)
    options: Mapping[str, object] = {}
    effects: Sequence[str] = ()

    def __init__(self, cls: type[VifPlugin]) -> None:
        self.cls = cls
        self.options = dict(self.options)

    # --- documents ---

    def attachment(self, number: int) -> Attachment:
        """A document that the plugin serves; documents of any two numbers are on one network."""
        advert = self.cls.describe()
        segment = inspection.sample(self.cls.plugin_name, advert, advert.network_types[0])
        made = attachments.attachment(
            number, segment=msgspec.to_builtins(segment.network.segment),
            vnic_type=advert.vnic_types[0],
        )  # fmt: skip
        wish = {"plugin": self.cls.plugin_name, "vif_type": advert.vif_types[0]}
        return msgspec.structs.replace(made, **wish)

    def altered(self, wanted: Attachment) -> Attachment:
        """The same port with a difference that the plugin applies in place."""
        network = msgspec.structs.replace(wanted.network, mtu=wanted.network.mtu - 50)
        return msgspec.structs.replace(wanted, network=network)

    def document(self, wanted: Attachment) -> dict[str, Any]:
        """The JSON of an attachment."""
        raw: dict[str, Any] = msgspec.to_builtins(wanted)
        return decode(raw).raw

    # --- the host ---

    @contextlib.contextmanager
    def prepared(self, drivers: Drivers) -> Iterator[None]:
        """Around the tests: put on a new host what the plugin expects somebody else to have made
        (:func:`vifd.testing.hosts.foreign_device`), and take it away again."""
        yield

    def residue(self, drivers: Drivers) -> set[str]:
        """Everything on the host that bears the mark of a port, a line each."""
        return machines.residue(drivers, self.bridges)

    # --- the plugin ---

    def conf(self) -> Any:
        """The plugin's option group with :attr:`options`; a value may be text as in a file."""
        conf = cfg.ConfigOpts()
        group = self.cls.plugin_name
        conf.register_group(cfg.OptGroup(group))
        conf.register_opts(list(self.cls.options()), group=group)
        conf([], default_config_files=[])
        for option in self.cls.options():
            if option.dest in self.options:
                conf.set_override(option.dest, self._typed(option), group=group)
        unknown = set(self.options) - {o.dest for o in self.cls.options()}
        if unknown:
            raise LookupError(f"plugin {group} has no option {', '.join(sorted(unknown))}")
        return conf[group]

    def _typed(self, option: Any) -> object:
        value = self.options[option.dest]
        try:
            return option.type(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"option {option.name}: {error}") from error

    def plugin(self, host: Host) -> VifPlugin:
        """Make the plugin."""
        return self.cls(host, self.conf())


def load(cls: type[VifPlugin], given: str = "") -> Profile:
    """The profile of a plugin.

    :param given: ``module:Class``; else the one under :data:`GROUP`, else the default
    :raises TypeError: it is no profile
    """
    found: Any = Profile
    if given:
        module, _, name = given.partition(":")
        found = getattr(importlib.import_module(module), name or "Profile")
    else:
        for point in entry_points(group=GROUP, name=cls.plugin_name):
            found = point.load()
    if not (isinstance(found, type) and issubclass(found, Profile)):
        raise TypeError(f"{found!r} is no subclass of vifd.testing.profile.Profile")
    return found(cls)
