"""The web application over Flask: pages, programming interface and public pages."""
