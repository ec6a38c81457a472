"""Page views: files of views and the titles of a dump in, the most viewed articles out."""
