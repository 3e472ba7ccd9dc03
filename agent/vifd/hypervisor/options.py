"""The options of libvirt, ``[libvirt]`` of agent.conf."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        "enabled",
        default="auto",
        choices=[
            ("auto", "where Python's libvirt module is installed"),
            ("true", "yes, and a host without the module says so in its log"),
            ("false", "no"),
        ],
        help="Whether to ask libvirt which guest uses which port. A libvirt that is down is looked "
        "for again and again, and nothing waits for it.",
    ),
    cfg.StrOpt("uri", default="qemu:///system", help="Where libvirt is."),
    cfg.BoolOpt(
        "start_guests",
        default=True,
        help="At boot, start the guests whose autostart failed because their devices were not "
        "there yet, once their devices are there. libvirt itself does not try again. Guests "
        "without the autostart flag, and guests that somebody shut down, are left alone.",
    ),
    cfg.IntOpt(
        "start_window",
        default=600,
        min=0,
        help="Seconds after the first start of vifd since boot in which that is done.",
    ),
    cfg.IntOpt("start_limit", default=100, min=0, help="How many guests are started so at most."),
    cfg.IntOpt("start_parallel", default=2, min=1, max=64, help="How many of them at a time."),
]
