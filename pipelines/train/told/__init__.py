"""Losses, speeds and messages of a run in; its log, its line on the screen and trackers out."""
