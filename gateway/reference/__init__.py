"""Code sets and the forms of codes: compiled once, looked up fast, by date."""
