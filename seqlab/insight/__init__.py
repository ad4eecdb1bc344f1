"""Figures and tables that explain a trained model."""
