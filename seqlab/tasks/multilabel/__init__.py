"""Several labels for a whole sequence, each there or not."""

from seqlab.tasks.multilabel.objective import Decides as Decides
from seqlab.tasks.multilabel.objective import Multilabel as Multilabel
from seqlab.tasks.multilabel.objective import MultilabelMeter as MultilabelMeter
