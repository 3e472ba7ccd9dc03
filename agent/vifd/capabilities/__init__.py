"""What the host can do, what an instance needs, and whether the two meet.

Three answers, never one: *installed*, *usable on this host*, *usable for this instance*. Names are
those of os-traits, and ``CUSTOM_*`` where it has none.
"""
