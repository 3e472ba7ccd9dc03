"""nftables as values: expressions, rules and chains. Pure; the driver gives them to the kernel."""
