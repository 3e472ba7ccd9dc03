"""``python -m vifd`` is the daemon."""

import sys

from vifd.main import main

sys.exit(main())
