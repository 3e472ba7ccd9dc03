"""The plugin for VIFs that another party plugs: it makes nothing and observes what it can."""
