"""`curate card`: a balanced set in, its data card as JSON, Markdown and one page out."""
