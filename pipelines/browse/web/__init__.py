"""The page and its server: questions in as addresses, JSON, images and one page out; no others."""
