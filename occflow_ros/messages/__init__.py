"""What messages hold, as arrays and bytes: for the node, and for bags that no ROS writes."""
