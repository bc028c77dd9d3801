"""The program that joins the stages: plan, confirm, deliver, report; and its check without sending.

``program`` is the flow to read first; ``supply`` is the way from files to prepared chunks, ``connect`` and ``send`` the
way to the API, ``find`` finds the run that a command is about, and ``job`` holds what the user asked for.
"""
