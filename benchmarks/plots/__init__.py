"""Results as figures for people and papers: each as PNG, PDF and SVG, with the numbers that were drawn."""
