"""What a model is worth: several seeds, a second model beside it, one part less at a time."""
