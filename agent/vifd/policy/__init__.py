"""What guests may send, as data: neutral rules with their sources, which each back end translates.

The policy is stated once here. Nothing in this package knows a flow table or a packet filter, so
that the same frame gets the same verdict on every back end; what a back end cannot tell apart is
named in the enforcement report.
"""
