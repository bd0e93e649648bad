"""Measurements: `python -m bench` runs the parts of `bench.parts`, each in a process of its own, and sets their medians
beside their bars. Nothing here is imported by the product.
"""
