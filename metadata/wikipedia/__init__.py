"""Wikipedia: dumps, or its API, in; pages, plain text and redirects out, as streams."""
