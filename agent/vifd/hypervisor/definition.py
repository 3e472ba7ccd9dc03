"""What libvirt's XML says of a guest's interfaces. Pure.

Names and descriptions in a definition may come from tenants. The parser therefore takes no document
type, so that there are no entities to expand.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.parsers import expat

from vifd.hypervisor import GuestInterface

Element = ElementTree.Element

#: A definition is larger than this only if somebody wants it to be.
_LARGEST = 4 << 20


class BadXml(ValueError):
    """Text that is not the XML it should be."""


def parse(text: str) -> Element:
    """The root of an XML document.

    :raises BadXml: it is not well-formed, too large, or has a document type
    """
    if len(text) > _LARGEST:
        raise BadXml(f"{len(text)} characters are more than a definition has")
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = lambda name, given: builder.start(name, given)
    parser.EndElementHandler = lambda name: builder.end(name)
    parser.CharacterDataHandler = lambda data: builder.data(data)
    try:
        parser.Parse(text, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, ValueError) as error:
        raise BadXml(str(error)) from error


def _refuse(*_: object) -> None:
    raise BadXml("it has a document type")


def interfaces(text: str, *, running: bool) -> list[GuestInterface]:
    """The network interfaces of a domain that have a name on this host.

    :param text: the XML of a domain
    :param running: whether it is the XML of the running guest
    :raises BadXml: see :func:`parse`
    """
    root = parse(text)
    guest, name = text_of(root, "uuid").lower(), text_of(root, "name")
    found = []
    for element in root.iterfind("./devices/interface"):
        device = device_of(element)
        if device:
            found.append(_interface(element, device, guest, name, running))
    return found


def _interface(
    element: Element, device: str, guest: str, name: str, running: bool
) -> GuestInterface:
    return GuestInterface(
        device=device,
        guest=guest,
        name=name,
        mac=attribute(element, "mac", "address").lower(),
        alias=attribute(element, "alias", "name"),
        running=running,
        port=attribute(element, "virtualport/parameters", "interfaceid").lower(),
        kind=element.get("type", ""),
        bandwidth=tuple(_bandwidth(element)),
    )


def _bandwidth(element: Element) -> Iterator[tuple[str, int]]:
    for direction in ("inbound", "outbound"):
        for what in ("average", "peak"):
            value = attribute(element, f"bandwidth/{direction}", what)
            if value.isdecimal():
                yield f"{direction} {what}", int(value)


def device_of(element: Element) -> str:
    """The host's end of an ``<interface>``: a socket's path, or a device's name."""
    if element.get("type") == "vhostuser":
        return attribute(element, "source", "path")
    return attribute(element, "target", "dev")


def definition_of(text: str, interface: GuestInterface) -> str:
    """The XML of one interface of a running domain, as it can be taken out and put back.

    The device is looked for by its name and MAC together: a name alone may have been given to
    another interface since.

    :raises BadXml: the domain has no such interface
    """
    for element in parse(text).iterfind("./devices/interface"):
        same_mac = attribute(element, "mac", "address").lower() == interface.mac
        if same_mac and device_of(element) == interface.device:
            element.tail = None
            return ElementTree.tostring(element, encoding="unicode")
    raise BadXml(f"no interface {interface.device} with MAC {interface.mac}")


def attribute(element: Element, path: str, name: str) -> str:
    """An attribute of an element below, or the empty string."""
    below = element.find(path)
    return "" if below is None else below.get(name, "")


def text_of(element: Element, path: str) -> str:
    """The text of an element below, or the empty string."""
    return (element.findtext(path) or "").strip()
