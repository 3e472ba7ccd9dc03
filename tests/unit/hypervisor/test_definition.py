"""What is read of libvirt's XML, and what is refused."""

from __future__ import annotations

import pytest

from vifd.hypervisor import GuestInterface, capabilities, definition

UUID = "0d1e0000-0000-4000-8000-00000000000a"


def domain(*interfaces, head=""):
    devices = "".join(interfaces)
    return (
        f"{head}<domain><uuid>{UUID.upper()}</uuid><name>a &lt;name&gt;</name>"
        f"<metadata><n:instance xmlns:n='http://nova'><n:interface type='ethernet'>"
        f"<n:target dev='decoy'/></n:interface></n:instance></metadata>"
        f"<devices><disk><target dev='vda'/></disk>{devices}</devices></domain>"
    )


TAP = (
    "<interface type='ethernet'><mac address='FA:16:3E:00:00:01'/>"
    "<target dev='tap1' managed='no'/><virtualport type='openvswitch'>"
    "<parameters interfaceid='0D1E0000-0000-4000-8000-000000000001'/></virtualport>"
    "<model type='virtio'/><driver name='vhost' queues='4'/><mtu size='1450'/>"
    "<alias name='ua-mine'/><address type='pci' slot='0x02'/></interface>"
)
VHOST = (
    "<interface type='vhostuser'><mac address='fa:16:3e:00:00:02'/>"
    "<source type='unix' path='/run/v/vhu1' mode='server'/><target dev='vhu1'/></interface>"
)
NAMELESS = "<interface type='network'><mac address='fa:16:3e:00:00:03'/></interface>"


def test_interfaces_by_their_end_on_this_host():
    tap, vhost = definition.interfaces(domain(TAP, VHOST, NAMELESS), running=True)
    assert tap == GuestInterface(
        device="tap1", guest=UUID, name="a <name>", mac="fa:16:3e:00:00:01", alias="ua-mine",
        running=True, port="0d1e0000-0000-4000-8000-000000000001", kind="ethernet",
    )  # fmt: skip
    assert (vhost.device, vhost.kind) == ("/run/v/vhu1", "vhostuser")


def test_what_an_interface_is_limited_to():
    limits = "<bandwidth><inbound average='9' peak='12' burst='1'/><outbound average='5'/>"
    limited = TAP.replace("<model", f"{limits}<outbound peak='no'/></bandwidth><model")
    (tap,) = definition.interfaces(domain(limited), running=True)
    assert dict(tap.bandwidth) == {"inbound average": 9, "inbound peak": 12, "outbound average": 5}


def test_one_interface_as_it_can_be_put_back():
    (tap, _vhost) = definition.interfaces(domain(TAP, VHOST), running=True)
    text = definition.definition_of(domain(VHOST, TAP), tap)
    for part in ("FA:16:3E:00:00:01", 'managed="no"', 'queues="4"', "ua-mine", 'slot="0x02"'):
        assert part in text
    assert "vhu1" not in text
    with pytest.raises(definition.BadXml, match="no interface"):
        definition.definition_of(domain(VHOST), tap)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<domain>",
        "<a/><b/>",
        "<a>\x00</a>",
        domain(TAP, head="<!DOCTYPE x [<!ENTITY a 'aaaa'>]>"),
        "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>",
        "<a>" + "x" * (5 << 20) + "</a>",
    ],
)
def test_what_is_no_definition_is_refused(text):
    with pytest.raises(definition.BadXml):
        definition.interfaces(text, running=True)


CAPABILITIES = """<capabilities>
 <host><cpu><arch>x86_64</arch></cpu><iommu support='yes'/>
  <topology><cells num='2'><cell id='0'/><cell id='1'/></cells></topology></host>
 <guest><os_type>hvm</os_type><arch name='i686'><machine>old</machine>
  <domain type='xen'/></arch></guest>
 <guest><os_type>hvm</os_type><arch name='x86_64'>
  <machine maxCpus='255' canonical='pc-i440fx-7.2'>pc</machine><machine>q35</machine>
  <domain type='qemu'/><domain type='kvm'><machine>virt</machine></domain></arch></guest>
</capabilities>"""
MACHINE = """<domainCapabilities><path>/usr/bin/qemu</path><domain>kvm</domain>
 <machine>pc-q35-7.2</machine><arch>x86_64</arch><vcpu max='288'/>
 <memoryBacking supported='yes'><enum name='sourceType'><value>memfd</value><value>file</value>
 </enum></memoryBacking>
 <devices><interface supported='yes'><enum name='backendType'><value>passt</value></enum>
 </interface></devices>
 <features><sev supported='no'/><async-teardown supported='yes'/></features>
</domainCapabilities>"""


def test_capabilities_of_the_host():
    assert capabilities.host(CAPABILITIES) == {
        "arch": "x86_64",
        "virt_types": ["kvm", "qemu"],
        "machine_types": ["pc", "pc-i440fx-7.2", "q35", "virt"],
        "iommu": True,
        "numa_nodes": 2,
    }
    assert capabilities.host("<capabilities/>")["virt_types"] == []


def test_capabilities_of_a_machine_type():
    facts = capabilities.machine(MACHINE)
    assert facts["machine"] == "pc-q35-7.2"
    assert facts["max_vcpus"] == 288
    assert facts["memory_backing"] == ["file", "memfd"]
    assert facts["interface_backends"] == ["passt"]
    assert facts["features"] == {"sev": False, "async-teardown": True}
    assert "features" not in capabilities.machine("<domainCapabilities/>")


def test_versions_and_models():
    assert capabilities.version(9_002_013) == "9.2.13"
    assert "igb" not in capabilities.models("x86_64", 7_002_000)
    assert "igb" in capabilities.models("x86_64", 8_000_000)
    assert list(capabilities.models("riscv64", 0)) == ["virtio"]
