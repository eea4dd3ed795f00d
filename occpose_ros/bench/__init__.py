"""`occpose bench`: how fast models, pipeline, node, replay and training are on this machine."""
