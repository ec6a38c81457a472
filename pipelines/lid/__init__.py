"""The language of records: rows and options in; languages, and what decided over each, out."""
