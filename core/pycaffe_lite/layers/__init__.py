"""The layer types, one a file; `registry` is the table of contents, `contract` what all of them keep."""
