"""What every HTTP interface of the gateway stands on: routes with permissions, authentication, limits, faults."""
