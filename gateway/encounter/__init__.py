"""The canonical encounter: what every feed is mapped to and every check reads. Imports nothing of the project."""
