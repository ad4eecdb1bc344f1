"""Classification: one label for a whole sequence."""

from seqlab.tasks.classification.objective import Classification as Classification
from seqlab.tasks.classification.objective import ClassificationMeter as ClassificationMeter
from seqlab.tasks.classification.objective import Decides as Decides
from seqlab.tasks.classification.objective import auc as auc
