"""Pages and files for everybody: labels, schemas, verifiers, health, the read-only node."""
