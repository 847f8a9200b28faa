"""The database: tables, object mapping, encryption of columns, repositories and units of work."""
