"""Assembles the parts: the application, its workers, the data folder, backups, the demonstration."""
