"""Counting: plain text in; counted words and pairs of neighbours out, in bounded memory."""
