"""Pages and files for everybody: labels, schemas, verifiers, health and the read-only node."""
