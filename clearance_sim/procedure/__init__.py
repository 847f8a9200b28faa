"""Customs clearance as a procedure: stages, arms and levers, calibrated on published time release studies."""
