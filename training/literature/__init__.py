"""Figures as papers print them, of trained checkpoints on data sets with real cameras."""
