"""`occpose replay`: a model over recorded bags, without ROS: what is read, run, written, and compared."""
