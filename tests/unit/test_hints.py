"""Hints held against the case: nothing of vifd's is ever called foreign, whoever refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd import errors, main
from vifd.api import server
from vifd.drivers import Link, PortRow, Tap
from vifd.drivers.linkrules import complaint
from vifd.drivers.links import device_error
from vifd.drivers.ovsdb_rules import port_clash
from vifd.errors import NameClash
from vifd.model import Attachment, Wiring, decode
from vifd.plugin import Entry
from vifd_linuxbridge import naming as linux_naming
from vifd_linuxbridge.networks import _clash as bridge_clash
from vifd_noop.plugin import NoopPlugin
from vifd_ovs.bridge import numbers
from vifd_ovs.bridge.ownership import clash as row_clash

OTHER = port_id(2)
#: Its id begins like that of port 1 in all that a device's name has room for.
ALIKE = "00000001-0000-4000-8000-0000000000ff"


def alike() -> Attachment:
    doc = document(1)
    doc["port"] |= {"id": ALIKE, "mac_address": "fa:16:3e:99:99:99"}
    return decode(doc).attachment


def link(alias: str) -> Link:
    return Link("tap00000001-00", 5, "fa:16:3e:00:00:01", 1450, up=True, carrier=True,
                alias=alias, kind="tun")  # fmt: skip


def tap() -> Tap:
    return Tap("tap00000001-00", "fa:16:3e:00:00:01", 1450, f"vifd:{port_id(1)}")


def row(**ids: str) -> PortRow:
    named = {name.replace("_", "-"): value for name, value in ids.items()}
    return PortRow("tap00000001-00", "br-int", external_ids=named)


class _Work:
    id = port_id(1)
    device = "tap00000001-00"

    class names:
        adopted = False
        hosted = False
        plugged = False
        ifindex = None


def _linux() -> NameClash:
    with pytest.raises(NameClash) as caught:
        linux_naming.device_name(alike(), {port_id(1): _entry()})
    return caught.value


def _ovs() -> NameClash:
    taken = numbers.Taken("br-int")
    taken.devices["tap00000001-00"] = port_id(1)
    with pytest.raises(NameClash) as caught:
        numbers.device("tap", alike(), taken)
    return caught.value


def _entry() -> Entry:
    return Entry(decode(document(1)).attachment, Wiring("linuxbridge", "bridge", "tap1"), True)


def found(error: object) -> NameClash:
    assert isinstance(error, NameClash)
    return error


OURS: dict[str, Callable[[], NameClash]] = {
    "a tap of another port": lambda: found(complaint(tap(), link(f"vifd:{OTHER}"))),
    "a device of a network": lambda: found(complaint(tap(), link("vifd:net:x"))),
    "a row on another bridge": lambda: port_clash("tap1", "br-x", {"vifd-port": OTHER}),
    "a patch port": lambda: port_clash("patch1", "br-x", {"vifd-patch": "br-int"}),
    "a row of another port": lambda: found(row_clash(_Work, row(vifd_port=OTHER))),  # type: ignore[arg-type]
    "ids that begin alike, Open vSwitch": _ovs,
    "ids that begin alike, Linux bridge": _linux,
    "a bridge of a network": lambda: bridge_clash(_Device("vifd:net:abc"), "MTU"),  # type: ignore[arg-type]
}
FOREIGN: dict[str, Callable[[], NameClash]] = {
    "a tap": lambda: found(complaint(tap(), link(""))),
    "a copy of our mark": lambda: found(complaint(tap(), _veth())),
    "a row": lambda: port_clash("tap1", "br-x", {"iface-id": OTHER}),
    "a row on our bridge": lambda: found(row_clash(_Work, row(iface_id=OTHER))),  # type: ignore[arg-type]
    "a bridge": lambda: bridge_clash(_Device(""), "MTU"),  # type: ignore[arg-type]
}


class _Device:
    def __init__(self, alias: str) -> None:
        self.link = link(alias)


def _veth() -> Link:

    import msgspec  # noqa: F401

    return replace(link(f"vifd:{port_id(1)}"), kind="veth")


def text_of(error: NameClash) -> str:
    told: dict[str, Any] = error.to_dict()
    return f"{told['message']} {told['remediation']}"


@pytest.mark.parametrize("case", OURS)
def test_what_is_ours_is_never_called_foreign(case: str) -> None:
    error = OURS[case]()
    text = text_of(error)
    for word in ("foreign", "not ours", "remove or rename", "did not make"):
        assert word not in text
    assert "leave it as it is" in text
    assert "of vifd" in text or "vifd itself" in text
    assert error.code == "E_PLUG_NAME_CLASH"


@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_foreign_is_said_to_be(case: str) -> None:
    text = text_of(FOREIGN[case]())
    assert "is not ours" in text
    assert "remove or rename the foreign object" in text


def test_where_it_is_not_known_nothing_is_claimed() -> None:
    text = text_of(found(device_error("tap1", 16, "make")))  # EBUSY
    assert "not ours" not in text
    assert "ip -d link show tap1" in text


def test_the_holder_is_named() -> None:
    assert port_id(1) in _ovs().message
    assert port_id(1) in _linux().message
    assert OTHER in OURS["a tap of another port"]().message


def test_every_sentence_has_its_facts() -> None:
    """A message that lacks a fact shows the template: no hint is worth anything then."""
    for make in (*OURS.values(), *FOREIGN.values()):
        assert "{" not in make().message
    assert isinstance(errors.wrap(_ovs()), NameClash)
    assert NoopPlugin.plugin_name == "noop"


# --- the first start ------------------------------------------------------------------------------


def test_the_sockets_directory_is_missing(tmp_path: Path) -> None:
    with pytest.raises(server.SocketError) as caught:
        server.listen(str(tmp_path / "run" / "vifd.sock"))
    assert f"the directory {tmp_path / 'run'} does not exist" in str(caught.value)
    assert "install -d" in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_the_wrong_user_for_the_socket(number: int) -> None:
    said = server._why("/run/vifd/vifd.sock", OSError(number, os.strerror(number)))
    assert f"for uid {os.geteuid()} in /run/vifd" in said
    assert "systemctl start vifd" in said


def test_a_group_that_does_not_exist() -> None:
    with pytest.raises(server.SocketError, match="groupadd --system no-such-group"):
        server.listen("/nowhere", group="no-such-group")


@pytest.mark.parametrize("name", ["file/below", "file"])
def test_the_state_directory_cannot_be_had(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.JournalError) as caught, main.sole(tmp_path / name):
        pass
    if name == "file/below":
        assert "systemctl start vifd" in caught.value.hint
        assert "free space" not in caught.value.hint


def test_a_full_disk_keeps_its_hint() -> None:
    assert main._place(Path("/x"), OSError(errno.ENOSPC, "full")) is None
