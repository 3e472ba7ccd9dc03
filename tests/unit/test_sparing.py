"""What a daemon does not need is not loaded, and is there for who asks."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _says(*lines: str) -> str:
    text = "\n".join(("import sys", *lines))
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.strip()


def test_drivers_load_the_numbers_and_nothing_else_of_pyroute2() -> None:
    loaded = _says(
        "import vifd.daemon.daemon, vifd_ovs.plugin",
        "print(*(m for m in sys.modules if m.startswith('pyroute2.')))",
    ).split()
    assert "pyroute2.netlink.rtnl.ifinfmsg" in loaded
    assert not {"pyroute2.iproute", "pyroute2.ndb", "pyroute2.netlink.nlsocket"} & set(loaded)


@pytest.mark.parametrize(
    "asking",
    [
        "from pyroute2 import IPRoute",
        "import pyroute2; pyroute2.IPRoute",
        "import pyroute2.netlink.rtnl; pyroute2.IPRoute",
        "from pyroute2.iproute import IPRoute",
        "from pyroute2 import netns, IPRoute; netns.listnetns",
        "held = sys.modules['pyroute2']; held.IPRoute; held.IPRoute; import pyroute2 as p; p.netns",
    ],
)
def test_who_asks_for_more_gets_all_of_it(asking: str) -> None:
    found = _says(
        "import vifd.drivers.links",
        *asking.split("; "),
        "import pyroute2",
        "pyroute2.IPRoute, pyroute2.netlink.rtnl, pyroute2.netlink.NLM_F_ACK, pyroute2.config",
        "print(sys.modules['pyroute2'].IPRoute is pyroute2.IPRoute)",
    )
    assert found == "True"


def test_a_name_that_nobody_has_is_missing() -> None:
    found = _says(
        "import vifd.drivers.links, pyroute2",
        "print(hasattr(pyroute2, 'nothing_of_the_kind'), hasattr(pyroute2, '__nothing__'))",
    )
    assert found == "False False"


def test_a_package_that_was_loaded_stays_as_it_is() -> None:
    found = _says("import pyroute2 as first", "import vifd.drivers.links", "import pyroute2",
                  "print(first is pyroute2, type(first).__name__)")  # fmt: skip
    assert found == "True module"
