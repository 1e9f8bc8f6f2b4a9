"""What can go wrong, by name: task codes, start-up codes, the exceptions of start-up and their collection.

The modules here import nothing else of horsies, so every other module may import them.
"""
