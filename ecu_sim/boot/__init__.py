"""From power to software: who may run, and what happens when nobody may."""
