"""Everything on one machine: PostgreSQL from a wheel, and a Lambda on loopback."""
