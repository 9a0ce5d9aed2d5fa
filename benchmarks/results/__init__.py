"""What a run found: its schema, the files it is kept in, and the summary to paste."""
