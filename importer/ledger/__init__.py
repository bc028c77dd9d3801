"""The ledger: the durable queue between plan and deliver, and the memory of what was ever delivered.

``interface`` says what every ledger can do, ``sqlite`` keeps it in one file. See ``tables`` for what is in it.
"""
