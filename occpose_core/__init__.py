"""Lift 2D human keypoints with missing joints to 3D skeletons, without ROS."""

__version__ = "0.1.0"
