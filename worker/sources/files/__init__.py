"""Files as a source: paths, globs, folders, objects at S3."""
