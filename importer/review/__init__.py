"""`importer review`: a page on this machine on which undelivered rows are corrected, resolved and sent.

``cells`` turns a rejected row into cells and a corrected one into a file that is read like any other. ``desk`` keeps
the rows and what was typed; ``checks`` fills it from the ledger, and asks the stages about corrected rows. ``session``
does what was decided, and ``page`` is the program around it, which answers the browser.
"""
