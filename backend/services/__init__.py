"""Use cases of the server, one module for each, in the order in which a consignment meets them."""
