"""Where signing keys are made and kept."""
