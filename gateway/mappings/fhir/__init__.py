"""FHIR R4 to and from the canonical model. Resources are plain JSON values; validation is by the R4B models, which are
identical to R4 in all that is used here.
"""
