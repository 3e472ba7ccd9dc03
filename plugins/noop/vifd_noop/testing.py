"""What the contract suite must know of the noop plugin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

from vifd.drivers import Drivers
from vifd.model import Attachment
from vifd.testing.attachments import mac
from vifd.testing.hosts import foreign_device
from vifd.testing.profile import Profile as Base

#: The ports whose devices the other party has made.
NUMBERS = (1, 2, 3, 99)


class Profile(Base):
    """Another party has made the devices, and nothing of vifd's shall appear beside them."""

    makes = False

    @contextlib.contextmanager
    def prepared(self, drivers: Drivers) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for number in NUMBERS:
                stack.enter_context(foreign_device(drivers, f"other{number}", mac(number)))
            yield

    def attachment(self, number: int) -> Attachment:
        made = super().attachment(number)
        profile = {"vif_name": f"other{number}"}
        port = msgspec.structs.replace(made.port, binding_profile=profile)
        return msgspec.structs.replace(made, port=port)
