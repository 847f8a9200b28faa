"""HTML forms, and the lists that people choose from."""
