"""The pages that a replay and the demo leave behind."""
