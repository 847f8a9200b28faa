"""What is read off the replications: intervals, quantiles, warm-up."""
