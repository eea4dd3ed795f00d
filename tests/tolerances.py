"""How far two answers that should be equal may differ; every test takes its tolerance from here."""

# Pure float64 geometry, metres or ray units.
EXACT = 1e-9
# float32 keypoints and joints, metres or normalised units.
FLOAT32 = 1e-5
# OpenCV's iterative undistortion against its own distortion, pixels.
UNDISTORT_PX = 1e-3
# ONNX Runtime against torch, metres or normalised units.
ENGINE = 1e-5
