"""``vifctl port capture``: the frames of one port, on both sides of its filter."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from vifd.cli import finding
from vifd.cli.base import FAILED, Api, UsageError
from vifd.cli.client import port_path
from vifd.cli.listening import Listener, listen
from vifd.cli.pcap import Frame, Pcap, Pcapng
from vifd.cli.port import PORT_HELP

#: MiB of a file, where nobody says otherwise.
MOST = 100
SNAP = 262_144


class PortCapture(Api):
    """Capture the frames of one port into a file for Wireshark or tcpdump, or show them.

    The guest's side is its device: what it sends before any filter, and what it is given after
    them. With "--side both" every other device of this host is listened to as well, for frames with
    the port's MAC address: what is seen there has passed the filter, or has yet to meet it.

    Nothing is changed on the switch; who is killed leaves nothing behind, and a file that can be
    read. Ends at Ctrl-C, or at what is reached first of --count, --duration and --limit.
    """

    looks_here = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help=PORT_HELP)
        parser.add_argument(
            "-w", "--write", metavar="FILE", help="the file; - is standard output (default: show)"
        )
        parser.add_argument("-c", "--count", type=_number, metavar="N", help="so many frames")
        parser.add_argument(
            "--duration", type=_number, metavar="SECONDS", help="for so many seconds"
        )
        parser.add_argument(
            "--limit", type=_number, default=MOST, metavar="MIB",
            help=f"the most that is written (default: {MOST})",
        )  # fmt: skip
        parser.add_argument(
            "--snap", type=_number, default=SNAP, metavar="BYTES",
            help="the most of each frame (default: all)",
        )  # fmt: skip
        parser.add_argument(
            "--side", choices=("guest", "both"), default="guest",
            help="the guest's side of the filter, or both (pcapng, a name for each device)",
        )  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        port = self.client.call("GET", port_path(finding.one(self.client, parsed_args.port)))
        device, mac = _device(port), port["document"]["port"]["mac_address"]
        listeners = self._listeners(device, mac)
        seen: Counter[str] = Counter()
        try:
            frames = _bounded(listen(listeners, parsed_args.duration), parsed_args.count)
            self._write(frames, device, seen)
        except KeyboardInterrupt:
            pass  # that is how it is ended
        except OSError as error:
            sys.stderr.write(f"vifctl: {device}: {error.strerror or error}\n")
            self.code = FAILED
        finally:
            for listener in listeners:
                listener.close()
            sys.stderr.write(f"vifctl: {_summary(seen, parsed_args.side)}\n")
        return self.code

    def _listeners(self, device: str, mac: str) -> list[Listener]:
        snap = self.args.snap
        try:
            made = [Listener(device, snap)]
            if self.args.side == "both":
                made.append(Listener("", snap, mac=mac, but=device))
        except PermissionError:
            raise UsageError("frames are captured by root only (CAP_NET_RAW)") from None
        except OSError as error:
            raise UsageError(f"cannot listen to {device}: {error.strerror}") from error
        return made

    def _write(self, frames: Iterator[Frame | None], device: str, seen: Counter[str]) -> None:
        if self.args.write is None:
            for frame in frames:
                if frame is not None:
                    _count(seen, frame, device)
                    sys.stdout.write(line(frame, device) + "\n")
                    sys.stdout.flush()
            return
        with _file(self.args.write) as file:
            kind = Pcapng if self.args.side == "both" else Pcap
            made = kind(self.args.snap)
            left = (self.args.limit << 20) - file.write(made.head())
            file.flush()
            for frame in frames:
                if frame is None:
                    file.flush()  # so that the file is whole whenever nothing comes
                    continue
                data = made.frame(frame)
                if len(data) > left:
                    sys.stderr.write(f"vifctl: --limit {self.args.limit} is reached\n")
                    return
                left -= file.write(data)
                _count(seen, frame, device)


def _device(port: dict[str, Any]) -> str:
    vif = port.get("vif") or {}
    if vif.get("type") == "vhostuser":
        raise UsageError(
            "a vhost-user port has no device of the kernel: its frames go from the guest's memory "
            "to the switch; see ovs-tcpdump of Open vSwitch, which makes a mirror"
        )
    if not port.get("device"):
        raise UsageError(f"port {port['id']} has no device: {port['status']} ({port['phase']})")
    return str(port["device"])


def _bounded(frames: Iterator[Frame | None], count: int | None) -> Iterator[Frame | None]:
    for frame in frames:
        yield frame
        if frame is not None and count is not None:
            count -= 1
            if count <= 0:
                return


def _file(name: str) -> BinaryIO:
    try:
        if name == "-":
            if sys.stdout.isatty():
                raise UsageError("frames are no text: send them to a file or a program")
            return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        # what guests say to each other is for who captured it alone
        return os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}") from error


def _count(seen: Counter[str], frame: Frame, device: str) -> None:
    seen["beyond" if frame.device != device else "in" if frame.out else "out"] += 1


def _summary(seen: Counter[str], side: str) -> str:
    said = f"{seen['out']} frames sent by the guest, {seen['in']} given to it"
    return said + (f", {seen['beyond']} seen beyond its filter" if side == "both" else "")


def line(frame: Frame, device: str) -> str:
    """A frame in one line: when, where, which way, from whom to whom, what."""
    data = frame.data
    at = time.strftime("%H:%M:%S", time.gmtime(frame.at // 1_000_000_000))
    way = "→ guest" if frame.out else "guest →"
    if frame.device != device:
        way = f"{'→' if frame.out else '←'} {frame.device}"
    kinds = {0x0800: "IPv4", 0x86DD: "IPv6", 0x0806: "ARP", 0x8100: "VLAN", 0x8035: "RARP"}
    kind = int.from_bytes(data[12:14], "big")
    fraction = frame.at % 1_000_000_000 // 1000
    return (
        f"{at}.{fraction:06d} {way:<10} {data[6:12].hex(':')} > {data[:6].hex(':')} "
        f"{kinds.get(kind, f'0x{kind:04x}')} {frame.size} bytes"
    )


def _number(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return int(text)
