"""The city-level semantic map of static classes (OccFiner, appendix B)."""
