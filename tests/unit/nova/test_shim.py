"""The os-vif plugin without nova: what is said of a VIF, what is left alone, and patience."""

from __future__ import annotations

import http.client
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.api import serve
from support.backend import FakeDaemon
from unit.api.client import document, uuid
from vifd import errors
from vifd.testing.wait import PATIENCE

# What os-vif imports warns of its own imports.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import os_vif
    from os_vif import exception, objects
    from oslo_context import context

    from vifd_nova import client, telling
    from vifd_nova.asking import Vifd
    from vifd_nova.client import Away, Client, Refused
    from vifd_nova.options import Settings
    from vifd_nova.place import problem
    from vifd_nova.plugin import StandIn, VifdPlugin
    from vifd_nova.translate import part_of, why_not

    objects.register_all()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

INSTANCE = objects.instance_info.InstanceInfo(uuid=uuid(0xC00), name="guest", project_id="p")
QUICK = Settings(("ovs",), plug=5.0, unplug=5.0, away=0.2, away_unplug=0.0)


def network(**more: Any) -> Any:
    return objects.network.Network(id=uuid(0xA00), **more)


def ovs_vif(number: int = 1, profile: dict[str, Any] | None = None, **more: Any) -> Any:
    made = objects.vif.VIFPortProfileOpenVSwitch(
        interface_id=uuid(number), **({"create_tap": True} if profile is None else profile)
    )
    return objects.vif.VIFOpenVSwitch(
        id=uuid(number), address=document(number)["port"]["mac_address"], plugin="ovs",
        network=network(mtu=1450), vif_name=f"tap{uuid(number)[:11]}", port_profile=made, **more,
    )  # fmt: skip


def test_what_is_said_of_a_port_on_open_vswitch() -> None:
    assert part_of(ovs_vif(), INSTANCE) == {
        "version": "1.0",
        "instance": {"id": uuid(0xC00), "name": "guest", "project_id": "p"},
        "vif_type": "ovs", "mac_address": "fa:16:3e:00:00:01", "mtu": 1450,
        "network_id": uuid(0xA00),
        "device": f"tap{uuid(1)[:11]}",
    }  # fmt: skip


@pytest.mark.parametrize(("several", "queues"), [(True, 2), (False, 1)])
def test_whether_there_are_several_queues(several: bool, queues: int) -> None:
    profile = {"create_tap": True, "multiqueue": several}
    assert part_of(ovs_vif(profile=profile), INSTANCE)["queues"] == queues


def test_what_is_said_of_a_vhost_user_port() -> None:
    profile = objects.vif.VIFPortProfileOpenVSwitch(interface_id=uuid(1))
    socket = objects.vif.VIFVHostUser(
        id=uuid(1), plugin="ovs", path="/run/vhu1", mode="server", port_profile=profile
    )
    assert why_not(socket) == ""
    said = part_of(socket, INSTANCE)
    assert (said["vif_type"], said["socket_path"]) == ("vhostuser", "/run/vhu1")
    assert "mac_address" not in said, "what is not set is not said"


@pytest.mark.parametrize(
    ("vif", "reason"),
    [
        (ovs_vif(profile={}), "ovs_create_tap"),
        (ovs_vif(profile={"create_tap": False}), "ovs_create_tap"),
        (objects.vif.VIFVHostUser(id=uuid(1), plugin="noop"), "another switch"),
        (objects.vif.VIFHostDevice(id=uuid(1), plugin="ovs"), "VIFHostDevice"),
        (objects.vif.VIFGeneric(id=uuid(1), plugin="vrouter"), "VIFGeneric"),
        (objects.vif.VIFBridge(id=uuid(1), plugin="linux_bridge"), "libvirt make the tap"),
        (
            objects.vif.VIFBridge(
                id=uuid(1), plugin="ovs",
                port_profile=objects.vif.VIFPortProfileOpenVSwitch(interface_id=uuid(1)),
            ),
            "hybrid",
        ),
    ],
)  # fmt: skip
def test_what_vifd_cannot_plug_stays_with_its_own_plugin(vif: Any, reason: str) -> None:
    assert reason in why_not(vif)
    calls: list[str] = []
    own = SimpleNamespace(
        plug=lambda *_: calls.append("plug"), unplug=lambda *_: calls.append("unplug"), config=None
    )
    stand_in = StandIn(own, Vifd(Client("/nowhere"), QUICK))
    stand_in.plug(vif, INSTANCE)
    stand_in.unplug(vif, INSTANCE)
    assert calls == ["plug", "unplug"]


def test_an_object_of_an_older_version() -> None:
    vif = ovs_vif(profile={})
    primitive = vif.obj_to_primitive(target_version="1.0")
    older = objects.vif.VIFOpenVSwitch.obj_from_primitive(primitive)
    assert part_of(older, INSTANCE)["device"] == vif.vif_name


# --- taking over ---


def extension(name: str, plugin: Any, obj: Any = None) -> Any:
    return SimpleNamespace(name=name, plugin=plugin, obj=obj)


def config(**more: Any) -> Any:
    known = {"take_over": ["ovs"], "socket": "/nowhere", "plug_timeout": 1.0,
             "unplug_timeout": 1.0, "away_timeout": 0.0, "away_timeout_unplug": 0.0}  # fmt: skip
    return SimpleNamespace(**{**known, **more})


def test_it_refuses_to_work_in_vifds_own_environment(caplog: pytest.LogCaptureFixture) -> None:
    """Which is where this test runs."""
    assert "install it where nova-compute runs" in problem()
    ovs = extension("ovs", object())
    assert VifdPlugin(config()).take_over([ovs]) == []
    assert "call itself" in caplog.text
    assert ovs.obj is None


def test_loading_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(VifdPlugin):
        def __init__(self, config: Any) -> None:
            raise AssertionError("stevedore raises these again")

    made = Broken.load("broken")
    assert "takes nothing over" in caplog.text
    with pytest.raises(exception.PlugException):
        made.plug(ovs_vif(), INSTANCE)
    assert made.describe().plugin_name == "vifd"


def test_the_private_name_of_os_vif_is_what_it_was() -> None:
    os_vif.initialize()
    manager: Any = os_vif._EXT_MANAGER
    found = {e.name: e for e in manager}
    assert {"ovs", "noop"} <= set(found)
    assert all(hasattr(e, "plugin") and e.obj is not None for e in found.values())
    assert manager["ovs"].obj is found["ovs"].obj


# --- the daemon ---


@pytest.fixture
def backend() -> Iterator[FakeDaemon]:
    with FakeDaemon() as made:
        yield made


def ask(path: Path | str, **more: Any) -> Vifd:
    known = {"plug": 5.0, "unplug": 5.0, "away": 0.2, "away_unplug": 0.0}
    return Vifd(Client(str(path)), Settings(**{**known, **more}))


def bind(backend: FakeDaemon, number: int = 1) -> None:
    from vifd.model import Part, Side
    from vifd.model.sides import Said

    body = {k: v for k, v in document(number).items() if k != "instance"}
    backend.say(Said(uuid(number), Side.NETWORK, Part("neutron", body)), "r").kept.result(PATIENCE)


def test_plug_and_unplug_and_again(backend: FakeDaemon, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serve(backend, str(path)):
        bind(backend)
        vifd = ask(path)
        for _ in range(2):
            vifd.plug(ovs_vif(), INSTANCE)
        assert backend.port(uuid(1)).phase == "LIVE"
        for _ in range(2):
            vifd.unplug(ovs_vif())
        assert backend.ports() == []


def test_an_older_vifd_is_asked_for_what_it_knows(backend: FakeDaemon, tmp_path: Path) -> None:
    path = tmp_path / "s"
    asked: list[str] = []

    class Older(Client):
        """As of a vifd that knows no other end of a port than that it is gone."""

        def call(self, method: str, path: str, body: object = None, **more: Any) -> Any:
            asked.append(more.get("wait", ""))
            if asked[-1] == "detached":
                more["wait"] = "unknown"
            return super().call(method, path, body, **more)

    with serve(backend, str(path)):
        vifd = Vifd(Older(str(path)), QUICK)
        for number in (1, 2):
            bind(backend, number)
            vifd.plug(ovs_vif(number), INSTANCE)
        for number in (1, 2):
            vifd.unplug(ovs_vif(number))
        assert backend.ports() == []
    assert asked == ["active", "active", "detached", "gone", "gone"]


def test_another_refusal_of_an_unplug_is_told(backend: FakeDaemon, tmp_path: Path) -> None:
    class Refusing(Client):
        def call(self, method: str, path: str, body: object = None, **more: Any) -> Any:
            raise Refused({"code": "E_DOC_FIELD", "facts": {"field": "query.timeout"}})

    with pytest.raises(exception.UnplugException, match="E_DOC_FIELD"):
        Vifd(Refusing(str(tmp_path / "s")), QUICK).unplug(ovs_vif())


class Heard(FakeDaemon):
    """Keeps by which request each port was said and taken back."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def say(self, said: Any, request_id: str, *, taking: bool = False) -> Any:
        self.heard.append((said.port, request_id))
        return super().say(said, request_id, taking=taking)


def working_on(request: str, call: Callable[..., None], *arguments: Any) -> None:
    """nova does something in a thread of this request."""

    def work() -> None:
        context.RequestContext(request_id=request, overwrite=True)
        call(*arguments)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)


def test_what_vifd_does_bears_novas_request(tmp_path: Path) -> None:
    with Heard() as backend:
        bind(backend)
        bind(backend, 2)
        backend.heard.clear()
        vifd = ask(tmp_path / "s")
        with serve(backend, str(tmp_path / "s")):
            working_on("req-plug", vifd.plug, ovs_vif(), INSTANCE)
            assert backend.port(uuid(1)).request_id == "req-plug"
        working_on("req-gone", vifd.unplug, ovs_vif())  # nobody is there: it is owed
        with serve(backend, str(tmp_path / "s")):
            working_on("req-next", vifd.plug, ovs_vif(2), INSTANCE)
            vifd.unplug(ovs_vif(2))
        assert backend.heard[:3] == [
            (uuid(1), "req-plug"), (uuid(2), "req-next"), (uuid(1), "req-gone"),
        ]  # fmt: skip
        port, own = backend.heard[3]
        assert port == uuid(2)
        assert own.startswith("req-"), "without a request of nova vifd names its own"
        assert own not in ("req-plug", "req-gone", "req-next")


def test_what_nova_gives_up_on_is_not_kept(backend: FakeDaemon, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serve(backend, str(path)):
        with pytest.raises(exception.PlugException) as caught:
            ask(path, plug=0.2).plug(ovs_vif(), INSTANCE)
        assert "E_STATE_WAITS" in str(caught.value)
        assert "port not bound to this host yet" in str(caught.value)
        assert backend.parts(uuid(1)) is None


def test_a_port_that_was_made_is_not_taken_from_its_guest(
    backend: FakeDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    with serve(backend, str(path)):
        bind(backend)
        ask(path).plug(ovs_vif(), INSTANCE)
        other = ovs_vif()
        other.address = "fa:16:3e:00:00:99"
        with pytest.raises(exception.PlugException, match="E_STATE_PARTS_DIFFER"):
            ask(path).plug(other, INSTANCE)
        assert backend.port(uuid(1)).phase == "LIVE"


def test_a_failure_says_code_next_step_and_the_first_broken_one(
    backend: FakeDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    with serve(backend, str(path)):
        bind(backend)
        backend.fail(uuid(1), errors.BridgeMissing(facts={"bridge": "br-int"}))
        with pytest.raises(exception.PlugException) as caught:
            ask(path).plug(ovs_vif(), INSTANCE)
    said = str(caught.value)
    assert said.startswith("vifd: E_PLUG_")
    assert "Next: " in said


def test_errors_become_those_of_os_vif() -> None:
    refused = Refused({"code": "E_SEG_PHYSNET_UNMAPPED", "message": "m", "remediation": "r"})
    made = telling.told(refused, "uplink: x", exception.PlugException)
    assert isinstance(made, exception.NetworkMissingPhysicalNetwork)
    assert str(made) == "vifd: E_SEG_PHYSNET_UNMAPPED: m. Next: r. First broken: uplink: x"
    candidates = [
        {"code": "E_A", "message": "a", "remediation": "x", "facts": {"plugin": "ovn"}},
        {"code": "E_B", "message": "b", "remediation": "y", "facts": {"plugin": "ovs"}},
    ]
    several = {"code": "E_C", "message": "the closest says E_A: a", "candidates": candidates}
    said = telling.text(several, "")
    assert said == "vifd: E_C: the closest says E_A: a. ovs: E_B: b (next: y)"
    other = telling.told(Refused({}), "", exception.UnplugException)
    assert isinstance(other, exception.UnplugException)
    assert "E_INTERNAL" in str(other)


def test_a_daemon_that_never_comes(tmp_path: Path) -> None:
    with pytest.raises(exception.PlugException, match="systemctl status vifd"):
        ask(tmp_path / "none", away=0.05).plug(ovs_vif(), INSTANCE)


def test_a_daemon_that_comes_in_time_and_an_unplug_that_is_owed(
    backend: FakeDaemon, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    bind(backend)
    vifd = ask(path, away=30.0, plug=30.0)
    with serve(backend, str(path)):
        vifd.plug(ovs_vif(), INSTANCE)
    vifd.unplug(ovs_vif())  # nobody is there, and nova does not wait
    assert backend.port(uuid(1)).phase == "LIVE"
    bind(backend, 2)
    thread = threading.Thread(target=vifd.plug, args=(ovs_vif(2), INSTANCE))
    thread.start()
    with serve(backend, str(path)):
        thread.join(PATIENCE)
        assert [p.id for p in backend.ports()] == [uuid(2)], "what was owed is paid"


def test_a_socket_that_may_not_be_opened(tmp_path: Path) -> None:
    class Closed(Client):
        def _once(self, *_: Any) -> Any:
            raise PermissionError

    with pytest.raises(Away, match="compute_uids"):
        Closed("/s").call("GET", "/v1/status", timeout=5, away=5)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"<html>", b"[" * 100_000])
def test_what_answers_is_not_vifd(body: bytes) -> None:
    """Nova is told that vifd does not answer, and not that a list has no key."""
    with pytest.raises(http.client.HTTPException, match="no JSON"):
        client._read(200, body)
