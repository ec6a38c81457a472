"""Downloads: an address in; a file that came whole, and a note of where it came from, out."""
