"""A page on which a reader draws characters and watches a run's initialisation learn them."""
