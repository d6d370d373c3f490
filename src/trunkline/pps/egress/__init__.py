"""What a job made, sent elsewhere before the job ends."""
