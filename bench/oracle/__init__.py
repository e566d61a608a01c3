"""The judge: reads records of a run, gives verdicts with evidence; shares no code with the judged (D5)."""
