"""What went over the wire, in a file for a bug report: `recorder` takes it down, `redaction` leaves secrets and sound out, `spool`
waits for the disk."""
