"""What a user does next: acts on runs that are there."""
