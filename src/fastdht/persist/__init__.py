"""What a participant keeps between runs. Rate class: command."""
