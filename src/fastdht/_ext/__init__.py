"""Compiled code, entered per packet. Rate class: packet. Imports nothing of fastdht outside itself.

There is no pure-Python fallback: without the extensions the import fails and says how to build them.
"""
try:
    import fastdht._ext.ids as _lowest  # every other module needs it, so this costs nothing
except ImportError as error:
    raise ImportError(
        "fastdht's compiled part is missing for this Python: install the package (pip install .), or in a source "
        f"tree run `python setup.py build_ext --inplace` ({error})"
    ) from error
del _lowest
