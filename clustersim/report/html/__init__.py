"""Reports as one HTML file each: no server, no network, no library; what a browser needs is in the file.

A page is made of *sections*, each a function of a result. What they say is HTML from the start, so that it can be read,
searched and printed without scripts; every number of the result document stands in a ``<data>`` element with its JSON
value and its place in the document. Charts are canvases, drawn by the scripts in ``assets/`` from binary columns
(`columns`), each with the same facts beside it as text.
"""
