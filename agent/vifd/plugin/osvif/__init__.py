"""Hosts classic os-vif plugins under vifd's contract. The only package that imports os_vif.

========================  ==========================================================================
:mod:`~.source`           finds and loads the plugins that ``[osvif] plugins`` names
:mod:`~.loading`          loads one, guarded: its own thread, a deadline, no exception gets out
:mod:`~.describing`       what it serves, with the versions of the object classes that are installed
:mod:`~.naming`           what a port of it is called, as the journal keeps it
:mod:`~.objects`          attachment to os-vif's objects
:mod:`~.plugin`           the verbs
:mod:`~.observing`        what can be read back
:mod:`~.trouble`          its exceptions as our errors
========================  ==========================================================================

A classic plugin knows ``plug`` and ``unplug``. It cannot close a port, does not mark what it makes,
and tells nothing back; so a hosted one serves only documents that ask for it by name.
"""
