"""All rings: the run leaves the host's network first, and probes decide what can be tested."""

import signal

from hypothesis import settings

pytest_plugins = ["vifd.testing.fixtures", "rings"]

# A busy machine is no defect.
settings.register_profile("vifd", deadline=None)
settings.load_profile("vifd")

# What a shell starts in the background is born deaf to it, and so would be every child that the
# tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
