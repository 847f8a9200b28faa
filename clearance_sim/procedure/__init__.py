"""The customs clearance procedure: stages, arms and levers, calibrated on published time release studies."""
