"""What a sender needs to know of a route, whichever way messages travel over it."""

from __future__ import annotations

from clustersim.engine.fair import FairRoute
from clustersim.engine.link import DirectRoute, LongRoute

Route = DirectRoute | LongRoute | FairRoute
