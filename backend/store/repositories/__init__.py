"""One repository for each aggregate. ``find`` answers None, ``get`` raises NotFound."""
