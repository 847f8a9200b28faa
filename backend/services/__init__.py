"""Use cases, one module each, in the order in which a consignment meets them."""
