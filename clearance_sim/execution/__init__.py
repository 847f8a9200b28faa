"""Where replications run: here, in threads, in processes or on a cluster; the results are the same to the bit."""
