"""The lab: the frozen chain of the recipe `quick` on every data set, in memory, to try an idea in minutes."""
