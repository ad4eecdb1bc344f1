"""Language modeling: the next token, at every step of a text."""

from seqlab.tasks.language_modeling.objective import LanguageMeter as LanguageMeter
from seqlab.tasks.language_modeling.objective import LanguageModeling as LanguageModeling
