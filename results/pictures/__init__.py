"""Figures of records: what each shows, how it is drawn, one look a method."""
