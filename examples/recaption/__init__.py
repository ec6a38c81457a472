"""What re-aligned captions do: a captioner learned on a damaged web, and CLIP on its captions."""
