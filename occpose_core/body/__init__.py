"""Body models: a mesh that a shape and 24 rotations move, in the form of SMPL."""
