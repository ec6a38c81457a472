"""`curate extract`: crawl files in; addresses of images with their texts, each once, out."""
