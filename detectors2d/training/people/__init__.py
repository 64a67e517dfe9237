"""Training of the small detector of people (``detectors2d.people.small``)."""
