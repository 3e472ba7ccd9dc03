"""A vifd of a later version, which makes other flows: run in place of ``python -m vifd.main``."""

import sys

import vifd
from vifd import main
from vifd_ovs.bridge import flows

vifd.__version__ = "9.9.9"
flows.GUARD += 1

if __name__ == "__main__":
    sys.exit(main.main(sys.argv[1:]))
