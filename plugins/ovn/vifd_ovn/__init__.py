"""The plugin for tap devices on a host whose integration bridge belongs to ovn-controller.

vifd makes the tap and the switch port; OVN makes every flow. A port is open once its row tells
ovn-controller which logical port it is (``iface-id``), and proven once OVN's own evidence is there.
"""
