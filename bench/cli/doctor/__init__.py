"""`otabench doctor`: what this machine can do, what is missing."""
