"""One repository per aggregate. Methods named ``find…`` return None where nothing is found, ``get`` raises NotFound."""
