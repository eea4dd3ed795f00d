"""What pyproject.toml cannot say: the message texts in msg/ are shipped as data of occpose_ros.

ROS workspaces do not use this file: there package.xml and CMakeLists.txt rule.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["occpose_*", "training*"]), "occpose_ros.definitions"],
    package_dir={"occpose_ros.definitions": "msg"},
)
