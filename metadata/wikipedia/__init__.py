"""Wikipedia: dumps, page views and the API in; pages, plain text and titles out, as streams."""
