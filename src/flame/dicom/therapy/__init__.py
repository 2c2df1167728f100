"""Objects of radiotherapy: plans, doses, outlines, treatment records, and the courses that they make."""
