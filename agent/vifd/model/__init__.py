"""The nouns: the attachment document, wiring, evidence, and what is said of a port.

Values only, no I/O. Field names are those of the Networking API. A document keeps the fields that
this version does not know (:attr:`Document.raw`); only what is under ``required`` must be known.
"""

from __future__ import annotations

from vifd.model.attachment import (
    AddressPair,
    Attachment,
    FixedIp,
    Instance,
    Network,
    Port,
    Segment,
    Subnet,
)
from vifd.model.document import DOCUMENT_VERSIONS, Document, decode, differences, restore
from vifd.model.evidence import Evidence, Report
from vifd.model.extensions import QosPolicy, QosRule, SubPort, Trunk
from vifd.model.partreading import ComputeSaid
from vifd.model.parts import Part, Parts, Side
from vifd.model.record import Origin, PortRecord, Selection, Vif, Wiring
from vifd.model.remarks import alarming, notes, unread_remarks
from vifd.model.text import names_in
from vifd.model.values import MAC, UUID, Id, MacAddress, Mtu, Phase, Role, Status, Text

__all__ = [
    "DOCUMENT_VERSIONS",
    "MAC",
    "UUID",
    "AddressPair",
    "Attachment",
    "ComputeSaid",
    "Document",
    "Evidence",
    "FixedIp",
    "Id",
    "Instance",
    "MacAddress",
    "Mtu",
    "Network",
    "Origin",
    "Part",
    "Parts",
    "Phase",
    "Port",
    "PortRecord",
    "QosPolicy",
    "QosRule",
    "Report",
    "Role",
    "Segment",
    "Selection",
    "Side",
    "Status",
    "SubPort",
    "Subnet",
    "Text",
    "Trunk",
    "Vif",
    "Wiring",
    "alarming",
    "decode",
    "differences",
    "names_in",
    "notes",
    "restore",
    "unread_remarks",
]  # fmt: skip
