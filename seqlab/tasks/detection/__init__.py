"""Detection: at which steps of a signal is there a peak?"""

from seqlab.tasks.detection.objective import Detection as Detection
from seqlab.tasks.detection.objective import DetectionMeter as DetectionMeter
