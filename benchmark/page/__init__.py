"""Pages on which a reader draws or drags and watches a run's initialisation learn it."""
