"""Files in and out: the place where bad data become one clear sentence (`bayescal.errors.InputError`)."""
