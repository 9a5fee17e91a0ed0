"""The report: one self-contained page about any number of runs."""
