from hyperinf.attribution.callback import HyperINFCallback as HyperINFCallback
from hyperinf.attributor import Attributor as Attributor
from hyperinf.gradients import GradientStore as GradientStore
from hyperinf.gradients import LiveSource as LiveSource
from hyperinf.gradients import TensorSource as TensorSource
from hyperinf.gradients import per_sample_gradients as per_sample_gradients
from hyperinf.influence import METHODS as METHODS
from hyperinf.influence import influence_scores as influence_scores
from hyperinf.mislabeled.find import find_mislabeled as find_mislabeled

__version__: str
