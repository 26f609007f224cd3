"""A recorded run as one HTML file that any browser shows, offline and without ROS."""
