"""Forecasting: the next values of one or several series, as numbers or as distributions."""

from seqlab.tasks.forecasting.objective import EXAMPLES as EXAMPLES
from seqlab.tasks.forecasting.objective import LEVELS as LEVELS
from seqlab.tasks.forecasting.objective import Forecasting as Forecasting
from seqlab.tasks.forecasting.objective import ForecastMeter as ForecastMeter
from seqlab.tasks.forecasting.objective import LossName as LossName
from seqlab.tasks.forecasting.objective import student_quantiles as student_quantiles
