"""What browsing keeps beside a workspace: counts and matches in, files that answer questions out."""
