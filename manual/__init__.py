"""What makes the documentation: pages written from the code, transcripts recorded anew, commands checked."""
