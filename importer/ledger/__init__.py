"""The ledger: the durable queue between plan and deliver, and the memory of what was ever delivered.

See ``tables`` for what is in it, ``database`` for where it can be kept.
"""
