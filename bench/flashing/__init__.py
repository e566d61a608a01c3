"""A flashing job by itself: order, dry run, run and result."""
