"""The plugin for vhost-user ports on Open vSwitch with DPDK."""
