"""What the microphone hears of the loudspeaker, taken out: two cancellers, the reference they need, and what goes on the wire."""
