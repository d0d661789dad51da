"""From desired, applied and observed values to one change per resource."""
