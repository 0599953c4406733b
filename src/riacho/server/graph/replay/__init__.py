"""Put quarantined rows through the rules of now, and those that pass into their table, each exactly once."""
