"""What lies outside: the database, the chain, keys and files, behind the ports of the services."""
