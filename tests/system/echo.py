"""A guest on a tap that answers ARP and ping, as far as a test needs it."""

from __future__ import annotations

import select
import threading

from vifd.testing import frames
from vifd.testing.guests import TapGuest


class EchoGuest:
    """Answers whoever asks for its address, on a thread of its own, until it is closed."""

    def __init__(self, device: str, mac: str, address: str) -> None:
        self.tap = TapGuest(device)
        self._mac, self._address = mac, address
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"echo-{device}")
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if select.select([self.tap.fd], [], [], 0.1)[0]:
                for frame in self.tap.drain():
                    answer = self._answer(frame)
                    if answer is not None:
                        self.tap.send(answer)

    def _answer(self, frame: bytes) -> bytes | None:
        mac, own = frames.mac_bytes(self._mac), frames.ip_bytes(self._address)
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == own:
            asker = frames.mac_text(frame[6:12]), ".".join(map(str, frame[28:32]))
            return frames.arp_reply(self._mac, self._address, *asker)
        if frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34] == 8 and frame[30:34] == own:
            icmp = b"\0" + frame[35:36] + b"\0\0" + frame[38:]
            icmp = icmp[:2] + frames.checksum(icmp).to_bytes(2, "big") + icmp[4:]
            return frame[6:12] + mac + frame[12:26] + own + frame[26:30] + icmp
        return None

    def close(self) -> None:
        """The guest is switched off."""
        self._stop.set()
        self._thread.join()
        self.tap.close()

    def __enter__(self) -> EchoGuest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
