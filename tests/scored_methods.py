"""Which influence methods a test can take."""

from hyperinf.settings.methods import METHODS

HELD = tuple(sorted(name for name, spec in METHODS.items() if "factors" not in spec.needs))
"""Those that gradients alone are enough for."""
LINEAR = tuple(name for name in HELD if not name.endswith("_cg"))
"""Of them those that no tolerance ends: they are linear, their sweeps known beforehand, and rounding stays rounding."""
SCALE_FREE = tuple(name for name in LINEAR if not name.endswith("_published"))
"""Of them those whose scores of gradients twice as large are the same but for their size."""
