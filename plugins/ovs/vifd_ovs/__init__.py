"""The plugin for tap devices on an Open vSwitch bridge."""
