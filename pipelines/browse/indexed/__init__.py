"""What is kept beside a workspace: counts and matches in, files that answer questions out."""
