"""The name of a port's device, and what of other ports stands in its way. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vifd.errors import DuplicateAddress, NameClash
from vifd.model import Attachment
from vifd.model.trunks import is_sub_port
from vifd.plugin import Entry

#: Characters of the port's id in its device name; the kernel allows 15 in all.
ID_CHARACTERS = 11


def device_name(attachment: Attachment, ledger: Mapping[str, Entry]) -> str:
    """``tap`` and the beginning of the port's id; of a sub-port, whose device is none that a guest
    has, ``sub``.

    :raises DuplicateAddress: another port of the same network has the same MAC
    :raises NameClash: a port whose id begins alike has the name
    """
    own, mac, network = attachment.id, attachment.mac, attachment.network.id
    begin = own[:ID_CHARACTERS]
    prefix = "sub" if is_sub_port(attachment) else "tap"
    # this looks at every port of the host, once per port of a batch
    near = [
        (other, entry.attachment)
        for other, entry in ledger.items()
        if entry.attachment.network.id == network or other.startswith(begin)
    ]
    for other, there in near:
        if other == own:
            continue
        if there.network.id == network and there.mac == mac:
            facts = {"kind": "MAC", "address": mac, "other": other}
            raise DuplicateAddress(facts=facts, port=own, stage="name")
        if other.startswith(begin):
            facts = {"kind": "device name", "name": f"{prefix}{begin}",
                     "have": "their ids begin alike", "ours": f"port {other} of vifd"}  # fmt: skip
            raise NameClash(facts=facts, port=own, stage="name")
    return f"{prefix}{begin}"
