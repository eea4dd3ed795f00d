# The build generates `occpose_ros.msg` into the install space: join it to the modules of this folder.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
