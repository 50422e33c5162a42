"""How the network that judges who speaks is made: random rooms, the evidence in them, the fit."""
