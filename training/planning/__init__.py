"""`cardinal plan`: parameters, memory and time of an experiment, before a machine is rented."""
