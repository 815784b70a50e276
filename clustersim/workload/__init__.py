"""From a scenario to a job: the costs of every stage, and one program per rank."""
