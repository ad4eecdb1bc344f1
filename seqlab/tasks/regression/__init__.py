"""Regression: one or several real numbers for a whole sequence."""

from seqlab.tasks.regression.objective import Regression as Regression
from seqlab.tasks.regression.objective import RegressionMeter as RegressionMeter
