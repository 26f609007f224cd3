"""What turns frames into occupancy flow, one at a time or in clips."""
