"""Hydra's side: what is typed, what it is called, and what is answered to a mistake."""
