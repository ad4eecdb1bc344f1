"""Translation: one sequence into another, measured by what the model writes itself."""

from seqlab.tasks.translation.objective import Decides as Decides
from seqlab.tasks.translation.objective import Translation as Translation
from seqlab.tasks.translation.objective import TranslationMeter as TranslationMeter
from seqlab.tasks.translation.objective import Write as Write
