"""The versioned objects that services exchange about VIFs, under the names of os-vif.

Everything that is said of versions anywhere (offers, ``HostInfo``, a VIF that is handed out) is
generated from the histories in :mod:`~.vif` and :mod:`~.network`, so that an advert cannot disagree
with what is sent. os-vif itself is not needed to write its format.

======================  ============================================================================
:mod:`~.versions`       version numbers, ranges, and what two ranges have in common
:mod:`~.objects`        the base class: history, serialisation, back-levelling, registry
:mod:`~.vif`            VIFs and port profiles
:mod:`~.network`        networks, subnets, addresses
:mod:`~.hostinfo`       what a host can serve
:mod:`~.kinds`          which classes stand for which of our VIF types
:mod:`~.translate`      a port of this host as a VIF object
======================  ============================================================================
"""
