"""Tasks: loss and metrics of one kind of question each; no parameters."""
