"""All rings: the run leaves the host's network first, and probes decide what can be tested."""

from hypothesis import settings

pytest_plugins = ["vifd.testing.fixtures", "rings"]

# A busy machine is no defect.
settings.register_profile("vifd", deadline=None)
settings.load_profile("vifd")
