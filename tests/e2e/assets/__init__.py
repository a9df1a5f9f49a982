"""Two real Airflows, of which one hands on its asset events to the other."""
