"""The languages of records."""
