"""An example of a plugin outside of vifd's tree."""
