"""A trained model, ready for use here (`load`) or elsewhere (`files`)."""
