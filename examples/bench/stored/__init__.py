"""What reads stored matches (card, yield, diff, explain, browse): matches in, rates out."""
