"""Planning: many simulations of variants of one scenario. A variant that can't be run is a row with its reason."""
