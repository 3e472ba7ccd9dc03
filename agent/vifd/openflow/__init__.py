"""OpenFlow 1.4 as the plugins use it: flows as values, and their bytes. Pure, no I/O."""
