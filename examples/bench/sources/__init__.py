"""What pairs and entries come from: crawl files and dumps in, MB and articles per second out."""
