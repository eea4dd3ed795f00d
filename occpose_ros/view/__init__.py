"""`occpose view`: people in 3D in the browser."""
