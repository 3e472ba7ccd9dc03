"""Whether the host itself answers for a port: an address of it on a device that its frames meet."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from vifd.drivers import Bridging
from vifd.errors import VifError
from vifd.model import Attachment, Evidence


def evidence(
    bridging: Bridging | None, attachment: Attachment, devices: Iterable[str]
) -> list[Evidence]:
    """For who asks why. No plug mends it: only its owner knows which of the two is wrong.

    :param devices: the port's bridges, and what its network leaves the host by
    """
    own = {ipaddress.ip_address(fixed.ip_address) for fixed in attachment.fixed_ips}
    if bridging is None or not own:
        return []
    try:
        found = [
            f"{text} on {name}"
            for name in dict.fromkeys(devices) if name
            for text in bridging.addresses(name)
            if ipaddress.ip_interface(text).ip in own
        ]  # fmt: skip
    except VifError:
        return []
    return [Evidence("device.claimed", found, [], not found, "netlink", repairable=False)]
