"""Who stays, who grows, and what young cohorts will come to: the methods."""
