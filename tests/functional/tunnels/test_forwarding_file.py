"""A host without a network service: who is behind the tunnels stands in a file."""

from __future__ import annotations

import json
import os
import signal

from vifd.testing.attachments import attachment, mac
from vifd.testing.daemon import Vifd
from vifd.testing.wait import until


def test_forwarding_comes_from_a_file_and_is_read_again(ovs, tmp_path):
    path = tmp_path / "forwarding.json"
    network, other = (attachment(1, network=n).network.id for n in (1, 2))

    def write(*networks: str, address: str) -> None:
        entry = [{"address": address, "ports": [{"mac_address": mac(7)}]}]
        path.write_text(json.dumps({"networks": [{"id": n, "endpoints": entry} for n in networks]}))

    def known() -> dict[str, str]:
        found = {}
        for one in vifd.get("/v1/networks")["networks"]:
            status, whole = vifd.call("GET", f"/v1/networks/{one['id']}/forwarding")
            if status == 200:  # it may have gone since it was listed
                found[one["id"]] = whole["endpoints"][0]["address"]
        return found

    def reload() -> None:
        os.kill(vifd.process.pid or 0, signal.SIGHUP)

    write(network, other, address="192.0.2.1")
    with Vifd(tmp_path / "v", ovs, {"network_local": {"forwarding": str(path)}}) as vifd:
        until(lambda: known() == {network: "192.0.2.1", other: "192.0.2.1"}, "the file is read")
        write(network, address="192.0.2.2")
        reload()
        until(lambda: known() == {network: "192.0.2.2"}, "it is read again")
        path.write_text('{"networks": [{"id": 5}]}')
        reload()
        until(lambda: "cannot be used" in vifd.log, "the mistake is told")
        assert "networks[0].id" in vifd.log
        assert known() == {network: "192.0.2.2"}
