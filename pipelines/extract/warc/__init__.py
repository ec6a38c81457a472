"""Reading crawl files whatever is wrong with them: pieces, the window on them, records."""
