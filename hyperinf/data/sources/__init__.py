"""Where data sets and models come from: a package index, the hub, files and folders of one's own."""

from hyperinf.data.sources.models import resolve_cache, resolve_model_folder

__all__ = ["resolve_cache", "resolve_model_folder"]
