"""Pages, programming interface and public pages, over Flask."""
