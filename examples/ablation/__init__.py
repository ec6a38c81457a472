"""What balancing does to a model: pools of the toy web, trained on for equally many pairs."""
