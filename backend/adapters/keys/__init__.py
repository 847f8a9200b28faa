"""Creation and storage of signing keys."""
