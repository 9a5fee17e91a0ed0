"""`make reproduce`: the runs behind all that the paper reports, and hours to spend on them."""
