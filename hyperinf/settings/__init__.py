"""Every setting, declared once: flags, keys of the YAML files, their checks and the docs are made from these models.

Nothing here imports torch, or any other room of the package.
"""
