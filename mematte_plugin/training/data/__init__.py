"""Training data: photographs whose licence permits it, drawn subjects, and your own pictures.

`bank.build_bank` and `importing.import_pictures` fill a folder; `compose.Composer` draws from it.
"""
