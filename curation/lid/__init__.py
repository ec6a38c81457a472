"""Language identification: texts in; fastText's labels, led to metadata languages, out."""
