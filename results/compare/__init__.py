"""Methods beside each other, beside other records and beside published numbers."""
