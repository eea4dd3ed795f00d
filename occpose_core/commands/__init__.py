"""The commands of `occpose`: each module has `add_arguments(parser)` and `run(args) -> int`."""
