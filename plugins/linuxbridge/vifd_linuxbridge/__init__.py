"""Plugin for taps on the kernel's own bridge, filtered by nftables."""
