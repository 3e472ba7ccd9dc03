"""The daemon: what it is put together from, its options, its life under systemd."""
