"""Predictions of whole data sets against their truth, by the protocols of the papers.

`predictions` says where predictions come from, a module of `protocols` what they are compared with,
`run` goes through the sets, `records` keeps what each one gave, and `report` writes it down.
"""
