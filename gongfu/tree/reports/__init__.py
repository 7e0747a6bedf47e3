"""What a node tells its parent: kinds, mergeable cells, the ledger of a subtree, publication, signed records.

Pure: kinds, measures, cells, sketches, planes, wire, stream, encoder, decoder, ledger, rows, position, leaving, claims,
publication, disclosure. At work in the tree role: ``section`` and what it puts together.
"""
