"""What puts the parts together: the application, its workers, the data folder, backups, the demonstration."""
