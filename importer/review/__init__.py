"""`importer review`: a page on this machine on which undelivered rows are corrected, resolved and sent.

``cells`` turns a rejected row into cells and a corrected one into a file that is read like any other. ``desk`` keeps
the rows and what was typed; ``load`` fills it from the ledger; ``checks`` asks the stages about corrected rows.
``page`` answers the browser, ``session`` does what was decided, and ``serve`` is the program around both.
"""
