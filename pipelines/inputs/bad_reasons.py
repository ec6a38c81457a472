"""Why records are set aside in `rejected/`."""

__all__ = ["BAD_REASONS", "REJECTED_REASONS"]

# Those that `--max-bad` bounds.
BAD_REASONS = frozenset(
    {"bad_csv_row", "bad_json", "invalid_utf8", "missing_sample", "null_text", "text_too_long",
     "unclear_sample", "unreadable_file", "unreadable_rows", "wrong_type"}
)  # fmt: skip
REJECTED_REASONS = BAD_REASONS | {"image_outside", "missing_image"}
