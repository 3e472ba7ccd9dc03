"""Read by a daemon that a test of a late run starts; its threads are late as well."""

import sys

if "vifd.main" in sys.orig_argv:
    from support import late

    late.begin()
