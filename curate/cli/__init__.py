"""The command line: words in; one call of the API, its result as a table or JSON, out."""
