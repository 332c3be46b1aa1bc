"""The entries sought in one deployment, their enrolment and removal."""
