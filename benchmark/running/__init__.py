"""The machinery of a run: it starts, stops, resumes and records; nothing here learns."""
