"""What every call passes: options and folders in; checked values, errors in its words out."""
