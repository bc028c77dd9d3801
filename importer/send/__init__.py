"""What delivery needs to talk to the API: token, endpoint, client, fates, pacing, breaker, lanes.

Each module is one role and knows little of the others; ``importer.deliver`` puts them together.
"""
