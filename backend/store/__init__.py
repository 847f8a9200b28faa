"""The database: tables, how the domain's objects lie in them, and units of work."""
