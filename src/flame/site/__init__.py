"""What a hospital enforces and records."""
