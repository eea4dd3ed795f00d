"""A set of pictures of people, rendered from recorded motion: exact joints, meshes, visibility and contours."""
