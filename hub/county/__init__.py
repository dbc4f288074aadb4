"""The county's own table of its units: files that carry what is known, who says so, and since when."""
