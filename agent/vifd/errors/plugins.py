"""Plugins that are missing, refused or unwell."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class PluginMissing(VifError):
    """No installed plugin serves what is asked for."""

    code = "E_PLUGIN_MISSING"
    reached = "plugin names one that is not installed, or nothing serves the document"
    klass = "plugin"
    http = 424
    cni = 50
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "no usable plugin {wanted!r} on this host (have {have})"
    remediation = "vifctl plugin list shows what is installed and why a plugin is unavailable"


class PluginRefused(VifError):
    """A plugin that was found but not admitted: import failure, missing verb, wrong version…"""

    code = "E_PLUGIN_LOAD"
    reached = "an entry point that cannot be imported, or breaks the contract"
    klass = "plugin"
    http = 503
    cni = 50
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} of {distribution} was refused: {reason}"
    remediation = "repair or remove the named distribution, then restart vifd"


class PluginUnhealthy(VifError):
    """The plugin is installed but cannot work on this host now."""

    code = "E_PLUGIN_UNHEALTHY"
    reached = "the only plugin that fits reports that it cannot work now"
    klass = "plugin"
    http = 503
    cni = 50
    retryable = True
    owner: ClassVar[Owner] = "host"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} cannot work on this host now: {reason}"
    remediation = "vifctl plugin list shows the reasons; the daemon retries by itself"


class PluginTimeout(VifError):
    """The plugin did not answer in time; its lane is quarantined until it does."""

    code = "E_PLUGIN_TIMEOUT"
    reached = "a call to the plugin takes longer than call_timeout"
    klass = "plugin"
    http = 504
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "backend"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} did not finish {verb} within {seconds} s"
    remediation = "look at what the plugin waits for (OVS, kernel); it is retried by itself"


class PluginNotAsked(VifError):
    """The plugin was left out: the document asks for another one, or must ask for this one."""

    code = "E_PLUGIN_NOT_ASKED"
    reached = "an offer, for each plugin that the document does not ask for by name"
    klass = "plugin"
    http = 409
    cni = 7
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "plugin"
    template = "plugin {plugin!r} was not asked for"
    remediation = "name the plugin in the document to have it serve the port"
