"""What nova-compute does to a port, by nova's own code.

Run by nova's interpreter: one JSON command per line on stdin, one answer per line on stdout. Once
everything is imported it gives all privileges up.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from importlib import import_module, metadata
from typing import Any

NOBODY = 65534


def vif_of(command: dict[str, Any]) -> Any:
    model = import_module("nova.network.model")
    network = model.Network(
        id=command["network"], bridge="br-int", label="net", subnets=[], mtu=command["mtu"],
        bridge_interface=None,
    )  # fmt: skip
    return model.VIF(
        id=command["port"], address=command["mac"], network=network,
        type=command.get("type", "ovs"), details=command["details"],
        devname=f"tap{command['port'][:11]}", ovs_interfaceid=command["port"],
        vnic_type=command.get("vnic_type", "normal"), active=False,
        profile=command.get("profile", {}), delegate_create=command.get("delegate_create", False),
    )  # fmt: skip


def instance_of(command: dict[str, Any]) -> Any:
    objects = import_module("nova.objects")
    made = objects.Instance(
        uuid=command["instance"], id=1, project_id="project", display_name="guest", host="here",
        system_metadata={}, image_ref="",
    )  # fmt: skip
    made.flavor = objects.Flavor(
        vcpus=command.get("vcpus", 1), memory_mb=96, extra_specs=command.get("extra_specs", {})
    )
    return made


def run(driver: Any, command: dict[str, Any]) -> dict[str, Any]:
    objects = import_module("nova.objects")
    vif, instance = vif_of(command), instance_of(command)
    began = time.perf_counter()
    try:
        if command["do"] == "xml":
            meta = objects.ImageMeta.from_dict({})
            config = driver.get_config(instance, vif, meta, instance.flavor, "qemu")
            return {"xml": config.to_xml()}
        getattr(driver, command["do"])(instance, vif)
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error),
                "seconds": time.perf_counter() - began}  # fmt: skip
    return {"seconds": time.perf_counter() - began}


def capabilities() -> str:
    with open("/proc/self/status", encoding="ascii") as status:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    return found["CapEff"].strip() + found["CapPrm"].strip()


def memory() -> int:
    """Proportional set size, KiB."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def main() -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    import os_vif

    conf, objects = import_module("nova.conf"), import_module("nova.objects")
    libvirt_vif = import_module("nova.virt.libvirt.vif")

    objects.register_all()
    conf.CONF([], project="nova", default_config_files=[sys.argv[1]])
    os_vif.initialize()
    driver = libvirt_vif.LibvirtGenericVIFDriver(None)
    before = memory()
    if len(sys.argv) > 2 and sys.argv[2] == "unprivileged":
        warm = {"do": "xml", "port": "0" * 36, "mac": "fa:16:3e:00:00:01", "details": {},
                "network": "0" * 36, "mtu": 1500, "instance": "0" * 36}  # fmt: skip
        run(driver, warm)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    hello = {"uid": os.getuid(), "capabilities": capabilities(), "pss": before,
             "os_vif": {e.name: type(e.obj).__name__ for e in os_vif._EXT_MANAGER},
             "versions": {name: metadata.version(name) for name in ("nova", "os-vif")}}  # fmt: skip
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = {"pss": memory()} if command["do"] == "memory" else run(driver, command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
