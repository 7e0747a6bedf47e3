"""The commissioning wizard: looking at a machine, what is proposed to make of it, recordings and their replay."""
