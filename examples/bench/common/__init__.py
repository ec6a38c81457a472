"""What benches share: calls, commands and folders in, seconds, bytes, tables and images out."""
