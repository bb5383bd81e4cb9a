"""Configuration of the stages and flows: frozen, typed, checked before Ray starts."""
