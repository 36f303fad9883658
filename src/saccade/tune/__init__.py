"""Search: many trainings compared (caviar), or one nursed (panda)."""
