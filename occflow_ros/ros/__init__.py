"""The ROS 2 shell around the core: node, replay, recorder, and what they share."""
