"""The edits, one family a file. `registry` names them all."""
